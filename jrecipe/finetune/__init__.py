"""Fine-tuning of BERT and T5 from public weight files: strategies, tasks and scores (RECIPE J)."""
