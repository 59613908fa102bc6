"""The nouns a user writes and reads; `schema.crd` turns them into the CustomResourceDefinition."""
