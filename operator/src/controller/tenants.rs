//! Following the tenants: who has to hear of a change of one, beside itself.

use std::sync::Arc;

use futures::{Stream, StreamExt as _};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::reflector::store::Writer;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, ResourceExt as _};

use crate::context::Context;
use crate::tenant::unique::losers;
use crate::tenant::{Tenant, readable};
use crate::wall::Leaving;

/// Follows the tenants. Who waits for one that changes or goes is woken when
/// the store has it, so that it sees what woke it.
pub fn follow(
    client: &Client,
    writer: Writer<Tenant>,
    ctx: Arc<Context>,
    mut leaving: Leaving,
) -> impl Stream<Item = Result<Tenant, watcher::Error>> + use<> {
    let api = Api::<Tenant>::all(client.clone());
    watcher(api, watcher::Config::default())
        .reflect(writer)
        .inspect(move |event| match event {
            Ok(watcher::Event::Apply(tenant)) => {
                ctx.waiting.changed(&tenant.uid().unwrap_or_default());
                call_losers(tenant, &ctx);
            }
            Ok(watcher::Event::Delete(tenant)) => {
                let uid = tenant.uid().unwrap_or_default();
                ctx.waiting.forget(&uid);
                ctx.written.forget(&uid);
                ctx.waiting.changed(&uid);
                leaving.tell(&tenant.namespace().unwrap_or_default());
            }
            // Of those that went in between nothing else is told.
            Ok(watcher::Event::InitDone) => {
                ctx.waiting.anything_changed();
                leaving.tell_of_anybody();
            }
            Ok(watcher::Event::Init | watcher::Event::InitApply(_)) | Err(_) => {}
        })
        .applied_objects()
}

/// Wakes those from whom an edit of `tenant` may have taken something.
fn call_losers(tenant: &Tenant, ctx: &Context) {
    let Ok(tenant) = &tenant.0 else { return };
    for loser in losers(tenant, readable(&ctx.tenants.state()), &ctx.settings) {
        let namespace = loser.namespace().unwrap_or_default();
        let reference = ObjectRef::new(&loser.name_any()).within(&namespace);
        ctx.waiting.call(reference);
    }
}
