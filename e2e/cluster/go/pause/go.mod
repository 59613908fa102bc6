module finetune-operator/e2e/cluster/go/pause

go 1.26.0
