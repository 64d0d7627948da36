//! A ledger that takes its time: what was permitted for ten seconds is not sent
//! after them.

use std::time::Duration;

use serde_json::{Value, json};
use tenantry_core::policy::decide::GOOD_FOR;
use tenantry_server::crash::Step;

use crate::documents::key;
use crate::house::{Gate, House};
use crate::matrix::{End, Engine, Tool, Vendor};
use crate::program::{Heard, Program, Start, in_folder};
use crate::proof;

const CHANGE: &str = "0d9f4f7e-5a0b-4c1e-9d43-6a6f8c000003";

async fn call(program: &mut Program, tool: Tool) -> Value {
    let mut arguments = tool.arguments();
    arguments["idempotency_key"] = json!(CHANGE);
    let secret = key().reveal();
    let heard = program.call(&secret, tool.name(), &arguments).await;
    match heard.unwrap() {
        Heard::Answer(envelope) => *envelope,
        Heard::Nothing => panic!("the process died"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_waited_for_its_record_too_long_is_not_sent() {
    for (tool, wanted, effects) in [
        (Tool::SetBudget, "refused", 0),
        // What only stops is made however late it is.
        (Tool::Pause, "done", 1),
    ] {
        let house = House::build(Engine::Sqlite, Vendor::Ok, "slow");
        let house = house.await.unwrap();
        let permitted = Duration::try_from(GOOD_FOR).unwrap();
        let gate = Gate::at(Step::Sending, async move {
            tokio::time::sleep(permitted + Duration::from_millis(100)).await;
            Ok(())
        });
        let gate = gate.await.unwrap();
        let (flag, place) = house.ledger_flag();
        let home = in_folder(&house.dir(), &house.fake.url());
        let mut program = Program::start(Start {
            home: &home,
            kubeconfig: None,
            ledger: (flag, &place),
            dies_after: None,
            gate: Some(&gate.place),
            number: 0,
            vendor_within_ms: 1_500,
        });
        let program = program.as_mut().unwrap();
        program.serves().await.unwrap();
        let first = call(program, tool).await;
        assert!(gate.is_passed(), "{first}");
        gate.passed().await.unwrap();
        assert_eq!(first["status"], wanted, "{first}");
        assert_eq!(house.fake.effects().len(), effects, "{first}");
        if wanted == "refused" {
            assert_eq!(first["reason"], "ChangeStale", "{first}");
        }
        // Its key and its money are free.
        let again = call(program, tool).await;
        assert_eq!(again["status"], "done", "{again}");
        assert_eq!(again["replayed"] == true, wanted == "done", "{again}");
        assert_eq!(house.fake.effects().len(), 1);
        program.end().await.unwrap();
        let said = program.said().audit.text();
        let streams = [said.as_str()];
        proof::every_process_is_whole(&streams).unwrap();
        let settled = proof::ledger_is_settled(&house, &streams, &again, End::Made);
        settled.await.unwrap();
    }
}
