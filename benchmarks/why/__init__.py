"""How often `opsmeter why` names the right kind of spike."""
