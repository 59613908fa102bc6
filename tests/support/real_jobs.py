"""FineTuneJobs on a real API server, and the smallest spec to start from."""

from collections.abc import Mapping

from finetune_operator.api import keys

NAMESPACE = "team"
JOBS = f"/apis/{keys.API_VERSION}/namespaces/{NAMESPACE}/{keys.PLURAL}"

SMALLEST = {
    "model": {"name": "tiny-phi3"},
    "task": "chat",
    "dataset": {"source": {"claim": {"name": "data", "path": "rows.jsonl"}}},
}


class Refused(AssertionError):
    """The API server did not take an object; `causes` are its reasons, each as `field: message`."""

    def __init__(self, answer):
        super().__init__(answer.get("message", str(answer)))
        details = (answer.get("details") or {}).get("causes") or []
        self.causes = [f"{cause.get('field', '')}: {cause['message']}" for cause in details] or [str(self)]


class Jobs:
    """FineTuneJobs on the server: `create` and `change` return the object or raise Refused."""

    def __init__(self, server):
        self.server = server

    def create(self, spec, *, name="job", dry=True):
        body = {"apiVersion": keys.API_VERSION, "kind": keys.KIND, "metadata": {"name": name}, "spec": spec}
        return self._asked("POST", JOBS, body, fieldValidation="Strict", **({"dryRun": "All"} if dry else {}))

    def change(self, name, **fields):
        return self._asked("PATCH", f"{JOBS}/{name}", {"spec": fields}, dryRun="All")

    def delete(self, name):
        return self._asked("DELETE", f"{JOBS}/{name}")

    def _asked(self, method, path, body=None, **query):
        status, answer = self.server.request(method, path, body, **query)
        if status >= 300:
            raise Refused(answer)
        return answer


def merged(old, new):
    both = {key: value for key, value in {**old, **new}.items() if value is not None}
    deep = [key for key in both if isinstance(old.get(key), Mapping) and isinstance(new.get(key), Mapping)]
    return both | {key: merged(old[key], new[key]) for key in deep}


def smallest(**fields):
    """The smallest spec with fields added, at any depth; a field that is None is left out."""
    return merged(SMALLEST, fields)
