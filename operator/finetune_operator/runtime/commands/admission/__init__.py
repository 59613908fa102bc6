"""Says what the API server would hold against a manifest; `rules.objections` is the entry."""

from finetune_operator.runtime.commands.admission.rules import objections, schema, unknown_fields, with_defaults

__all__ = ["objections", "schema", "unknown_fields", "with_defaults"]
