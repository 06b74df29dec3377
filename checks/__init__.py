"""Read-back checks, a module per stage: each reads what was written and judges it again.

Blocking checks audit what is staged, so that nothing wrong is published; the others warn about
what was published. What is judged stands in the stage; here it is only read and reported.
"""
