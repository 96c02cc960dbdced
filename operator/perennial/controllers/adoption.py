"""A version made by hand belongs to its model from the first look on: by label, and by owner."""

from perennial.adapters.cluster import MODEL_DEPLOYMENT, MODEL_VERSION
from perennial.controllers.context import Context
from perennial.controllers.objects import Model, Version, parse_model, parse_version
from perennial.resources import names


async def find_model(context: Context, version: Version) -> Model | None:
    """The model that it names, were the rest of its spec invalid: its name is taken, and it goes with the model."""
    named = version.body["spec"].get("modelDeployment")
    if not isinstance(named, str) or not named:
        return None
    found = await context.cluster.get(MODEL_DEPLOYMENT, version.namespace, named)
    return parse_model(found) if found else None


async def adopt(context: Context, version: Version, model: Model) -> Version:
    """A version made by hand belongs to its model from here on."""
    owner = names.owner_reference("ModelDeployment", model.body)
    metadata = version.body["metadata"]
    owned = any(o["uid"] == model.uid for o in metadata.get("ownerReferences", []))
    if owned and version.labels.get(names.MODEL) == model.name:
        return version
    patch = {
        "metadata": {
            "resourceVersion": metadata["resourceVersion"],
            "labels": names.labels_for(model.name),
            "ownerReferences": [*(o for o in metadata.get("ownerReferences", []) if o["uid"] != model.uid), owner],
        }
    }
    return parse_version(await context.cluster.patch(MODEL_VERSION, version.namespace, version.name, patch))
