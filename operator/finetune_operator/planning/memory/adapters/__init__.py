"""What an adapter adds to a model: `lora.lora`, `lora.dora` and `peft.peft` are the entries."""
