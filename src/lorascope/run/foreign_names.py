"""What other tools call our settings, so that an error message can translate exactly.

Names as documented in transformers' TrainingArguments, PEFT's LoraConfig, TRL, axolotl and LLaMA-Factory.
"""

_BATCH = (
    "train.batch_size: examples in one step over all processes (per-device size x accumulation x processes)"
)
_LENGTH = "prepare.max_length"
_VALIDATION = "prepare.validation"
_PRECISION = "train.precision: auto | float32 | bf16 | fp16"

FOREIGN_NAMES: dict[str, str] = {
    "r": "lora.rank",
    "lora_r": "lora.rank",
    "lora_rank": "lora.rank",
    "lora_alpha": "lora.alpha",
    "lora_dropout": "lora.dropout",
    "lora_target": "lora.target_modules",
    "lora_target_modules": "lora.target_modules",
    "lora_target_linear": "lora.target_modules: auto (every linear layer but the head)",
    "model": "base",
    "model_name": "base",
    "model_name_or_path": "base",
    "base_model": "base",
    "model_id": "base",
    "dataset": "data",
    "datasets": "data",
    "dataset_name": "data",
    "dataset_path": "data",
    "train_file": "data",
    "output_dir": "--out RUN on the command line",
    "cutoff_len": _LENGTH,
    "sequence_len": _LENGTH,
    "max_seq_length": _LENGTH,
    "max_seq_len": _LENGTH,
    "val_size": _VALIDATION,
    "val_set_size": _VALIDATION,
    "validation_file": _VALIDATION,
    "test_size": _VALIDATION,
    "chat_template": "prepare.template: auto | alpaca | alpaca_s1 | chat",
    "prompt_template": "prepare.template: auto | alpaca | alpaca_s1 | chat",
    "num_train_epochs": "train.epochs",
    "num_epochs": "train.epochs",
    "max_steps": "train.epochs (fractions are allowed: steps x batch_size / examples)",
    "per_device_train_batch_size": _BATCH,
    "micro_batch_size": _BATCH,
    "gradient_accumulation_steps": _BATCH,
    "per_device_eval_batch_size": "eval.batch_size",
    "lr": "train.learning_rate",
    "lr_scheduler_type": "train.schedule: cosine | linear | constant",
    "lr_scheduler": "train.schedule: cosine | linear | constant",
    "warmup_ratio": "train.warmup",
    "warmup_steps": "train.warmup: a share of all steps",
    "max_gradient_norm": "train.max_grad_norm",
    "gradient_clipping": "train.max_grad_norm",
    "bf16": _PRECISION,
    "fp16": _PRECISION,
    "dtype": _PRECISION,
    "torch_dtype": _PRECISION,
    "gradient_checkpointing": "train.checkpoint_activations",
    "save_total_limit": "train.keep_checkpoints",
    "evaluation_strategy": "train.eval_steps",
    "eval_strategy": "train.eval_steps",
    "logging_steps": "nothing: every step is logged",
    "train_on_inputs": "nothing: the prompt is never a target",
    "completion_only_loss": "nothing: the prompt is never a target",
    "assistant_only_loss": "nothing: the prompt is never a target",
    "random_seed": "seed",
    "optim": "train.optimizer: adamw | adamw_8bit | paged_adamw | paged_adamw_8bit",
    "load_in_4bit": "nothing yet: quantised base models are not supported in this version",
    "load_in_8bit": "nothing yet: quantised base models are not supported in this version",
}
"""Another tool's setting -> ours, with the translation where it is no plain renaming."""
