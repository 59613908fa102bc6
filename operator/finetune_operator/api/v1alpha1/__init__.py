"""The first version of the API: `spec.FineTuneJobSpec` in, `status.FineTuneJobStatus` out."""
