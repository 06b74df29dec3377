"""The page: an HTTP server that shows what is published, and how fresh it is.

`app` says which paths there are, `answers` what each one tells, `page` how that reads as HTML.
Nothing here knows a table: what is read stands in `storage.summaries`. Add a view of the page to
`answers` and `page`; a second page would get a path in `app`. Starlette, Jinja2 and uvicorn are
imported here and nowhere else, and only when a command serves.
"""
