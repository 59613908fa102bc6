"""What a person asks without a cluster: `plan.main` plans a job, `catalog.main` shows what plans are made of."""
