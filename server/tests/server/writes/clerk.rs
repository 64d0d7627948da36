//! Who brings questions before people, where the API server takes its time.

use serde_json::json;
use tenantry_api::mcp_approval::ApprovalState;

use super::{AD_SET, OTHER_AD_SET, budget, call, new_key, open, policy};
use crate::world::{World, until};

#[tokio::test]
async fn a_question_that_is_slow_to_be_shown_keeps_no_other_waiting() {
    let world = World::start_with(|setup| {
        open(setup);
        setup.tenant.guard_proven = true;
        setup.tenant.policies = vec![policy(json!({"approvals": [{
            "name": "any", "approverClass": "finance", "approvers": 1,
            "expiresAfterMs": 3_600_000, "when": {"dailyIncreaseOver": "0"},
        }]}))];
    })
    .await;
    let control = &world.control;
    control.be_slow(true);
    let mut changes = Vec::new();
    for ad_set in [AD_SET, OTHER_AD_SET] {
        let arguments = budget(ad_set, "40.00", &new_key());
        let told = call(&world, "meta_set_budget", arguments).await;
        assert_eq!(told["status"], "pending_approval", "{told}");
        changes.push(told["change_id"].clone());
    }
    until("both to be asked", || control.asking() == 2).await;
    control.be_slow(false);
    for change in changes {
        let shown = control.question(|question| {
            question.spec.request.change_id == change
                && question.status.state == Some(ApprovalState::Pending)
        });
        shown.await;
    }
    world.end().await;
}
