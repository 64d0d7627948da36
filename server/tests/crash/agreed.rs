//! What people agree to is carried out once, or they see why not, whenever the
//! server dies meanwhile: before a real API server, whose objects they decide on.

use std::fmt;
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use futures::StreamExt as _;
use serde_json::{Value, json};
use tenantry_api::mcp_approval::ApprovalState;
use tenantry_server::crash::Step;

use crate::documents::key;
use crate::house::House;
use crate::matrix::{Death, End, Engine, Tool, Vendor};
use crate::program::{Heard, LOOK, PATIENCE, Program, Said, Start, until};
use crate::town::{Namespace, Town};
use crate::{AT_ONCE, ONLY, is_whole, proof, say};

const CHANGE: &str = "0d9f4f7e-5a0b-4c1e-9d43-6a6f8c000004";

/// For a vendor that does not answer.
const VENDOR_WITHIN_MS: u32 = 1_500;

/// What people say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Yes,
    /// Yes, and no when it is agreed and the server has died of that.
    YesNo,
    No,
    /// Who asked takes it back.
    Back,
    /// Somebody deletes the approval.
    Gone,
}

/// One case. The first process dies after `asking`, if anything, and is killed
/// otherwise; each of `deaths` is of one that carries out what people said.
#[derive(Debug, Clone, Copy)]
struct Case {
    engine: Engine,
    tool: Tool,
    vendor: Vendor,
    asking: Option<Step>,
    word: Word,
    deaths: &'static [Death],
}

const VENDORS: [Vendor; 6] = [
    Vendor::Ok,
    Vendor::Refuses,
    Vendor::FailsApplied,
    Vendor::TimeoutApplied,
    Vendor::TimeoutLost,
    Vendor::Late,
];

const DEATHS: [&[Death]; 15] = [
    &[],
    &[Death::After(Step::Agreed)],
    &[Death::After(Step::Prepared)],
    &[Death::After(Step::Reserved)],
    &[Death::After(Step::LookedAgain)],
    &[Death::After(Step::Sending)],
    &[Death::InFlight],
    &[Death::After(Step::Answered)],
    &[Death::After(Step::Settled)],
    &[Death::After(Step::Agreed), Death::After(Step::TakenOver)],
    &[Death::After(Step::Reserved), Death::After(Step::TakenOver)],
    &[
        Death::After(Step::Agreed),
        Death::After(Step::Reserved),
        Death::After(Step::Answered),
    ],
    &[Death::After(Step::Answered), Death::After(Step::Doubted)],
    &[Death::After(Step::Answered), Death::After(Step::Looked)],
    &[Death::After(Step::Answered), Death::After(Step::FoundOut)],
];

/// A yes under every behaviour of the vendor and every death; the other words
/// with theirs; something new, and the other engine.
fn all() -> Vec<Case> {
    let usual = Case {
        engine: Engine::Sqlite,
        tool: Tool::SetBudget,
        vendor: Vendor::Ok,
        asking: None,
        word: Word::Yes,
        deaths: &[],
    };
    let mut all = Vec::new();
    for deaths in DEATHS {
        let yes = Case { deaths, ..usual };
        all.extend(VENDORS.map(|vendor| Case { vendor, ..yes }));
        all.push(Case {
            engine: Engine::Postgres,
            ..yes
        });
        let batch = Case {
            tool: Tool::SetBudgets,
            ..yes
        };
        all.extend([Vendor::Ok, Vendor::TimeoutApplied].map(|vendor| Case { vendor, ..batch }));
        let tool = Tool::CreateCampaign;
        all.extend([Vendor::Ok, Vendor::TimeoutApplied].map(|vendor| Case {
            tool,
            vendor,
            ..yes
        }));
    }
    let denied = &[Death::After(Step::Agreed)];
    all.push(Case {
        word: Word::YesNo,
        deaths: denied,
        ..usual
    });
    for word in [Word::Yes, Word::No, Word::Back, Word::Gone] {
        let asking = Some(Step::Shown);
        all.push(Case {
            asking,
            word,
            ..usual
        });
        if word != Word::Yes {
            let deaths = &[Death::After(Step::Ended)];
            all.push(Case {
                word,
                deaths,
                ..usual
            });
        }
    }
    all.retain(Case::can_happen);
    all
}

/// A part of them: every death and every word with a vendor in good health, and
/// something of all the rest.
fn sample(all: Vec<Case>) -> Vec<Case> {
    let is_usual = |case: &Case| {
        let usual = (Engine::Sqlite, Tool::SetBudget, Vendor::Ok);
        (case.engine, case.tool, case.vendor) == usual
    };
    let chosen = all.into_iter().enumerate();
    let chosen = chosen.filter(|(number, case)| is_usual(case) || number % 4 == 0);
    chosen.map(|(_, case)| case).collect()
}

impl Case {
    fn can_happen(&self) -> bool {
        let hangs = matches!(
            self.vendor,
            Vendor::TimeoutApplied | Vendor::TimeoutLost | Vendor::Late
        );
        hangs || !self.deaths.contains(&Death::InFlight)
    }

    /// How it has to end.
    fn end(&self) -> End {
        let is_lost = self.deaths.contains(&Death::After(Step::Sending));
        if self.word == Word::Yes && self.vendor.makes() && !is_lost {
            End::Made
        } else {
            End::NotMade
        }
    }

    /// What people see in the end; nothing where there is nothing to see.
    fn state(&self) -> Option<ApprovalState> {
        match (self.word, self.end()) {
            (Word::Yes, End::Made) => Some(ApprovalState::Applied),
            (Word::Yes, _) => Some(ApprovalState::Failed),
            (Word::No | Word::YesNo, _) => Some(ApprovalState::Denied),
            (Word::Back, _) => Some(ApprovalState::Withdrawn),
            (Word::Gone, _) => None,
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            engine,
            vendor,
            asking,
            word,
            deaths,
            ..
        } = self;
        let tool = self.tool.name();
        write!(out, "agreed {engine:?} {tool} {vendor:?} {word:?} ")?;
        write!(out, "{asking:?} {deaths:?}")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whenever_the_server_dies_what_people_agreed_to_is_made_once() {
    let mut cases = all();
    if let Ok(part) = std::env::var(ONLY) {
        cases.retain(|case| case.to_string().contains(&part));
    } else if !is_whole() {
        cases = sample(cases);
    }
    assert!(!cases.is_empty(), "there are no such cases");
    let town = Arc::new(Town::build().await.unwrap());
    let count = cases.len();
    let deaths: usize = cases.iter().map(|case| 1 + case.deaths.len()).sum();
    let running = cases.into_iter().enumerate().map(|(number, case)| {
        let town = Arc::clone(&town);
        async move { (case, run(&town, &case, number).await) }
    });
    let mut ended = futures::stream::iter(running).buffer_unordered(AT_ONCE);
    let mut failed = Vec::new();
    while let Some((case, end)) = ended.next().await {
        if let Err(error) = end {
            say(&format!("FAILED {case}: {error:#}"));
            failed.push(case.to_string());
        }
    }
    say(&format!(
        "what people said: {count} cases, {deaths} deaths, {} failed",
        failed.len()
    ));
    assert!(failed.is_empty(), "{failed:#?}");
}

/// A case under way.
struct Course<'c> {
    case: &'c Case,
    house: House,
    namespace: Namespace,
    said: Vec<Said>,
}

async fn run(town: &Town, case: &Case, number: usize) -> Result<()> {
    let name = format!("agreed-{number}");
    let house = House::build(case.engine, case.vendor, &name).await?;
    let namespace = town.settle(&name, &house.fake.url())?;
    let mut course = Course {
        case,
        house,
        namespace,
        said: Vec::new(),
    };
    let ended = tokio::time::timeout(PATIENCE, course.go()).await;
    let ended = ended.unwrap_or_else(|_| bail!("it took longer than {PATIENCE:?}"));
    if let Err(error) = ended {
        let said = course.said.iter();
        let said: Vec<_> = said
            .map(|said| [said.log.text(), said.audit.text()].concat())
            .collect();
        let said = said.join("--- the next process\n");
        let effects = course.house.fake.effects();
        let approval = course.namespace.approval().await;
        return Err(anyhow!(
            "{error:#}\nwhat was changed: {effects:?}\nthe approval: {approval:?}\n{said}"
        ));
    }
    Ok(())
}

impl Course<'_> {
    async fn go(&mut self) -> Result<()> {
        let id = self.ask().await?;
        self.speak().await?;
        for death in self.case.deaths {
            let mut program = self.start(Some(*death)).await?;
            let died = self.let_die(&mut program, *death).await;
            died.with_context(|| format!("{death:?}"))?;
            self.world_goes_on();
            if self.case.word == Word::YesNo {
                self.namespace.decide("eve@acme.example", "Deny").await?;
            } else {
                self.repeat().await;
            }
        }
        let mut program = self.until_told().await?;
        self.prove(&mut program, &id).await?;
        program.end().await?;
        let all: Vec<String> = self.said.iter().map(|said| said.audit.text()).collect();
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        proof::every_process_is_whole(&all)?;
        let answer = json!({"change_id": id});
        proof::ledger_is_settled(&self.house, &all, &answer, self.case.end()).await
    }

    async fn start(&mut self, death: Option<Death>) -> Result<Program> {
        let dies_after = death.and_then(|death| match death {
            Death::After(step) => Some(step),
            Death::InFlight => None,
        });
        let (flag, place) = self.house.ledger_flag();
        let home = self.namespace.home();
        let mut program = Program::start(Start {
            home: &home,
            kubeconfig: Some(&self.namespace.kubeconfig),
            ledger: (flag, &place),
            dies_after: dies_after.map(Step::as_str),
            gate: None,
            number: u32::try_from(self.said.len())?,
            vendor_within_ms: VENDOR_WITHIN_MS,
        })?;
        self.said.push(program.said());
        program.serves().await?;
        Ok(program)
    }

    /// Asks until people see it; answers the id of the change.
    async fn ask(&mut self) -> Result<Value> {
        let death = self.case.asking.map(Death::After);
        let mut program = self.start(death).await?;
        let told = self.call(&mut program).await?;
        if death.is_some() {
            program.killed().await?;
            program = self.start(None).await?;
        }
        let told = match told {
            Some(told) => told,
            None => self
                .call(&mut program)
                .await?
                .context("it died once more")?,
        };
        ensure!(told["status"] == "pending_approval", "it was told {told}");
        while self.namespace.state().await? != Some(ApprovalState::Pending) {
            tokio::time::sleep(LOOK).await;
        }
        program.kill().await?;
        Ok(told["change_id"].clone())
    }

    async fn speak(&self) -> Result<()> {
        match self.case.word {
            Word::Yes | Word::YesNo => self.namespace.decide("bob@acme.example", "Approve").await,
            Word::No => self.namespace.decide("bob@acme.example", "Deny").await,
            Word::Back => self.namespace.withdraw().await,
            Word::Gone => self.namespace.delete().await,
        }
    }

    /// The approving command is repeated, by another one: whatever becomes of
    /// that.
    async fn repeat(&self) {
        let who = format!("eve-{}@acme.example", self.said.len());
        let _ = self.namespace.decide(&who, "Approve").await;
    }

    async fn let_die(&self, program: &mut Program, death: Death) -> Result<()> {
        if death == Death::InFlight {
            let fake = &self.house.fake;
            until(|| Ok(fake.open_orders().is_empty().then_some(()))).await?;
            return program.kill().await;
        }
        let died = tokio::time::timeout(PATIENCE / 4, program.killed());
        died.await.context("it came past that step")?
    }

    /// What was to come about within the quiet time does, before anybody looks.
    fn world_goes_on(&self) {
        if self.case.vendor == Vendor::Late {
            self.house.fake.release();
        }
    }

    fn is_sent(&self) -> bool {
        self.house.fake.open_orders().is_empty()
    }

    /// Waits until people see how it ended; answers the process that said so.
    async fn until_told(&mut self) -> Result<Program> {
        let mut was_open = !self.is_sent();
        let mut program = self.start(None).await?;
        loop {
            if self.is_told().await? {
                return Ok(program);
            }
            if was_open && self.is_sent() && self.case.vendor != Vendor::Refuses {
                was_open = false;
                self.world_goes_on();
                if !self.case.vendor.makes() {
                    // For this process its quiet time is still to come.
                    program.kill().await?;
                    program = self.start(None).await?;
                }
            }
            ensure!(!program.is_dead()?, "it died");
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn is_told(&self) -> Result<bool> {
        let state = self.namespace.state().await?;
        let wanted = self.case.state();
        let is_on_its_way = matches!(
            state,
            Some(ApprovalState::Pending | ApprovalState::Executing)
        );
        ensure!(
            state == wanted || is_on_its_way,
            "people see {state:?}, not {wanted:?}"
        );
        Ok(state == wanted)
    }

    async fn prove(&self, program: &mut Program, id: &Value) -> Result<()> {
        let (object, kind) = self.case.tool.effect();
        let effects = self.house.fake.effects().into_iter();
        let is_of = |own: &str| object.is_none_or(|object| own == object);
        let effects = effects.filter(|effect| is_of(&effect.object) && effect.kind == kind);
        let (made, wanted) = (effects.count(), self.case.end() == End::Made);
        ensure!(
            made == usize::from(wanted),
            "it came about {made} times, and {wanted:?} is wanted"
        );
        let status = match (self.case.word, wanted, self.case.vendor) {
            (Word::Yes, true, _) => "done",
            (Word::Yes, false, Vendor::Refuses) if self.is_sent() => "failed",
            // Its key is free: it would ask people once more.
            (Word::Yes, false, _) => return Ok(()),
            _ => "refused",
        };
        // What was ended before anybody looked is answered a moment later.
        loop {
            let told = self.call(program).await?.context("it died")?;
            if told["status"] != "pending_approval" {
                ensure!(told["status"] == status, "it was told {told}");
                ensure!(told["replayed"] == true, "it was told {told}");
                ensure!(told["change_id"] == *id, "it was told {told}");
                return Ok(());
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn call(&self, program: &mut Program) -> Result<Option<Value>> {
        let mut arguments = self.case.tool.arguments();
        arguments["idempotency_key"] = json!(CHANGE);
        let (secret, tool) = (key().reveal(), self.case.tool.name());
        match program.call(&secret, tool, &arguments).await? {
            Heard::Answer(told) => Ok(Some(*told)),
            Heard::Nothing => Ok(None),
        }
    }
}
