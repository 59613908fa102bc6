"""Plans a job before a pod is started; `plan.plan` is the entry."""
