//! Taking one object away.

use kube::Api;
use kube::api::{DeleteParams, Preconditions};
use kube::core::DynamicObject;

use super::hand::failed;
use super::{ApplyError, Tools};
use crate::tenant::optional::Present;

/// Removes an object of the tenant `uid` that is not meant any more; that very
/// one, as it was last heard of.
pub async fn remove(
    tools: Tools<'_>,
    namespace: &str,
    uid: &str,
    child: &Present,
) -> Result<(), ApplyError> {
    let resource = child.kind.resource();
    let api: Api<DynamicObject> = Api::namespaced_with(tools.client.clone(), namespace, &resource);
    let object = format!("{}/{}", resource.kind, child.kind.name());
    let params = DeleteParams {
        preconditions: Some(Preconditions {
            uid: child.metadata.uid.clone(),
            resource_version: child.metadata.resource_version.clone(),
        }),
        ..DeleteParams::background()
    };
    match api.delete(child.kind.name(), &params).await {
        Ok(_) => tracing::info!(namespace, object, "removed: it is not meant any more"),
        // Gone, or changed since: then it will be heard of again.
        Err(kube::Error::Api(status)) if [404, 409].contains(&status.code) => {}
        Err(error) => return Err(failed(object, error)),
    }
    tools.memory.forget(uid, &object);
    Ok(())
}
