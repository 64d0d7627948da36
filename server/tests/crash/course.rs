//! The course of one case: processes die, others follow, the client repeats its
//! call until its answer is final; then everything that is left is proved.

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use serde_json::{Value, json};
use tenantry_server::crash::Step;

use crate::documents::key;
use crate::house::{Gate, House};
use crate::matrix::{Case, Death, End, Tool, Vendor};
use crate::program::{Heard, PATIENCE, Program, Said, Start, in_folder, until};
use crate::proof;

/// Between two calls of a client that waits.
const REPEATED: Duration = Duration::from_millis(50);

/// For a vendor that does not answer.
const VENDOR_WITHIN_MS: u32 = 1_500;

/// The key of idempotency of the change.
const CHANGE: &str = "0d9f4f7e-5a0b-4c1e-9d43-6a6f8c000001";

/// Of the change that shows whether the budget is free again.
const PROBE: &str = "0d9f4f7e-5a0b-4c1e-9d43-6a6f8c000002";

/// A case under way.
struct Course<'c> {
    case: &'c Case,
    house: House,
    started: u32,
    /// Where the first process waits that has decided, while somebody else
    /// changes the object.
    gate: Option<Gate>,
    /// Whether somebody else has changed the object.
    is_meddled: bool,
    said: Vec<Said>,
}

/// Runs a case; where it fails, all that its processes said comes with the
/// error.
pub async fn run(case: &Case, number: usize) -> Result<End> {
    // A schema of its own, where the database is shared.
    let house = House::build(case.engine, case.vendor, &format!("case-{number}")).await?;
    let gate = match (case.vendor, case.tool.meddled()) {
        (Vendor::Moved, Some((object, changed))) => {
            Some(house.meddle_at(Step::Reserved, object, changed).await?)
        }
        _ => None,
    };
    let mut course = Course {
        case,
        house,
        started: 0,
        gate,
        is_meddled: false,
        said: Vec::new(),
    };
    let ended = tokio::time::timeout(PATIENCE, course.go()).await;
    let ended = ended.unwrap_or_else(|_| bail!("it took longer than {PATIENCE:?}"));
    ended.map_err(|error| {
        let effects = course.house.fake.effects();
        let said = course.said.iter().zip(1..);
        let said = said.map(|(said, number)| {
            format!(
                "--- process {number}\n{}{}",
                said.log.text(),
                said.audit.text()
            )
        });
        let said: String = said.collect();
        anyhow!("{error:#}\nwhat was changed: {effects:?}\n{said}")
    })
}

impl Course<'_> {
    async fn go(&mut self) -> Result<End> {
        for (number, death) in self.case.deaths.iter().enumerate() {
            let mut program = self.start(Some(*death)).await?;
            let died = self.let_die(&mut program, *death).await;
            died.with_context(|| format!("death {number} of the case"))?;
            self.world_goes_on().await?;
        }
        let (mut program, answer) = self.until_final().await?;
        if let Some(gate) = self.gate.take() {
            ensure!(gate.is_passed(), "nobody has changed the object");
            gate.passed().await?;
            self.is_meddled = true;
        }
        let proved = self.prove(&mut program, &answer).await;
        proved.with_context(|| format!("the final answer is {answer}"))
    }

    async fn start(&mut self, death: Option<Death>) -> Result<Program> {
        let dies_after = death.and_then(|death| match death {
            Death::After(step) => Some(step.as_str()),
            Death::InFlight => None,
        });
        let (flag, place) = self.house.ledger_flag();
        let home = in_folder(&self.house.dir(), &self.house.fake.url());
        let start = Start {
            home: &home,
            kubeconfig: None,
            ledger: (flag, &place),
            dies_after,
            gate: self.gate.as_ref().map(|gate| gate.place.as_str()),
            number: self.started,
            vendor_within_ms: VENDOR_WITHIN_MS,
        };
        self.started += 1;
        let mut program = Program::start(start)?;
        self.said.push(program.said());
        program.serves().await?;
        Ok(program)
    }

    /// Makes the call until the process has died.
    async fn let_die(&mut self, program: &mut Program, death: Death) -> Result<()> {
        if death == Death::InFlight {
            let fake = &self.house.fake;
            // An order is struck when the request that it is for is there.
            let sent = until(|| Ok(fake.open_orders().is_empty().then_some(())));
            let (secret, arguments) = (key().reveal(), self.arguments(CHANGE));
            let tool = self.case.tool.name();
            tokio::select! {
                heard = program.call(&secret, tool, &arguments) => {
                    bail!("it was answered with {heard:?} before it could be killed");
                }
                sent = sent => sent?,
            }
            return program.kill().await;
        }
        loop {
            match self.call(program).await? {
                Heard::Nothing => return Ok(()),
                // Somebody settles it in the background, and dies of that.
                Heard::Answer(_) if program.is_dead()? => return Ok(()),
                Heard::Answer(envelope) if is_final(&envelope) => {
                    let died = tokio::time::timeout(PATIENCE / 4, program.killed());
                    return died
                        .await
                        .with_context(|| format!("it came past that step, to {envelope}"))?;
                }
                Heard::Answer(_) => tokio::time::sleep(REPEATED).await,
            }
        }
    }

    /// What was to come about within the quiet time does, before anybody looks.
    async fn world_goes_on(&mut self) -> Result<()> {
        match self.case.vendor {
            Vendor::Late => {
                self.house.fake.release();
            }
            Vendor::Meddled if self.is_sent() && !self.is_meddled => {
                if let Some((object, changed)) = self.case.tool.meddled() {
                    self.house.meddle(object, changed).await?;
                }
                self.is_meddled = true;
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether the vendor has done what it was ordered to do.
    fn is_sent(&self) -> bool {
        self.house.fake.open_orders().is_empty()
    }

    /// Repeats the call until its answer is final; answers who gave it.
    async fn until_final(&mut self) -> Result<(Program, Value)> {
        let mut program = self.start(None).await?;
        let mut was_open = !self.is_sent();
        loop {
            let Heard::Answer(envelope) = self.call(&mut program).await? else {
                bail!("a process died that was not to");
            };
            if is_final(&envelope) {
                return Ok((program, *envelope));
            }
            let is_new = was_open && self.is_sent() && envelope["status"] == "settling";
            if is_new && self.case.vendor.makes() {
                self.world_goes_on().await?;
            } else if is_new {
                // For this process its quiet time is still to come.
                program = self.follow(program).await?;
                was_open = false;
            }
            tokio::time::sleep(REPEATED).await;
        }
    }

    /// Kills a process, and starts the next one.
    async fn follow(&mut self, mut program: Program) -> Result<Program> {
        program.kill().await?;
        self.world_goes_on().await?;
        self.start(None).await
    }

    /// Proves what the client was told, by the vendor's word and the ledger's.
    async fn prove(&mut self, program: &mut Program, answer: &Value) -> Result<End> {
        let end = proof::end_of(answer)?;
        if self.case.tool == Tool::SetBoth {
            self.is_true_of_each(answer)?;
        } else {
            self.is_true(end)?;
        }
        self.is_replayed(program, answer).await?;
        self.is_free(program, end).await?;
        program.end().await?;
        let all: Vec<String> = self.said.iter().map(|said| said.audit.text()).collect();
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        proof::every_process_is_whole(&all)?;
        proof::ledger_is_settled(&self.house, &all, answer, end).await?;
        if self.case.vendor == Vendor::TooLate {
            self.is_made_too_late()?;
        }
        Ok(end)
    }

    /// The change came about once, or not at all, as the client was told, and as
    /// it had to be.
    fn is_true(&self, end: End) -> Result<()> {
        let (effects, told) = (self.effects(), self.case.end());
        let wanted = usize::from(told == End::Made);
        ensure!(
            effects == wanted,
            "it came about {effects} times, not {wanted}"
        );
        ensure!(end == told, "the client was told {end:?}, not {told:?}");
        Ok(())
    }

    /// Each change of a batch came about once, or not at all, as the client was
    /// told: which of them the vendor had when the process died, nobody chose.
    fn is_true_of_each(&self, answer: &Value) -> Result<()> {
        let items = answer["items"].as_array().context("no items")?;
        ensure!(items.len() == 2, "there are {} items", items.len());
        for item in items {
            let effects = self.house.fake.effects().into_iter();
            let own = effects.filter(|effect| item["object"]["id"] == effect.object.as_str());
            let (made, told) = (own.count(), proof::end_of(item)?);
            let wanted = usize::from(told == End::Made);
            ensure!(made == wanted, "{item} came about {made} times");
        }
        Ok(())
    }

    /// Whoever comes again hears the same, and nothing happens.
    async fn is_replayed(&self, program: &mut Program, answer: &Value) -> Result<()> {
        let before = self.effects();
        for _ in 0..2 {
            let Heard::Answer(again) = self.call(program).await? else {
                bail!("it died of a repetition");
            };
            ensure!(again["replayed"] == true, "a repetition is {again}");
            for field in ["status", "change_id", "reason", "before", "after", "items"] {
                ensure!(again[field] == answer[field], "a repetition is {again}");
            }
        }
        ensure!(self.effects() == before, "a repetition changed something");
        Ok(())
    }

    /// Another change of the same budget may be made, unless people must find
    /// out about this one.
    async fn is_free(&self, program: &mut Program, end: End) -> Result<()> {
        self.house.forget_orders().await?;
        let campaign = self.case.tool.root();
        let probe = json!({"campaign_id": campaign, "name": "Probe", "idempotency_key": PROBE});
        let secret = key().reveal();
        let heard = program.call(&secret, "meta_rename", &probe).await?;
        let Heard::Answer(heard) = heard else {
            bail!("it died of another change");
        };
        let wanted = match end {
            End::NeedsHuman => "in_progress",
            End::Made | End::NotMade => "done",
        };
        ensure!(heard["status"] == wanted, "another change is {heard}");
        Ok(())
    }

    /// What comes about after the quiet time was believed lost: no server can
    /// know of it. It comes about once at most all the same.
    fn is_made_too_late(&self) -> Result<()> {
        let late = self.house.fake.release();
        let effects = self.effects();
        ensure!(late <= 1 && effects == late, "{late} late, {effects} made");
        Ok(())
    }

    /// How often the change came about.
    fn effects(&self) -> usize {
        let (object, kind) = self.case.tool.effect();
        let effects = self.house.fake.effects().into_iter();
        let is_of = |own: &str| object.is_none_or(|object| own == object);
        let own = effects.filter(|effect| is_of(&effect.object) && effect.kind == kind);
        own.count() - usize::from(self.is_meddled)
    }

    async fn call(&self, program: &mut Program) -> Result<Heard> {
        let arguments = self.arguments(CHANGE);
        let secret = key().reveal();
        program
            .call(&secret, self.case.tool.name(), &arguments)
            .await
    }

    fn arguments(&self, key: &str) -> Value {
        let mut arguments = self.case.tool.arguments();
        arguments["idempotency_key"] = json!(key);
        arguments
    }
}

/// Whether nothing follows. What failed for now alone is no end: a repetition
/// tries again.
fn is_final(envelope: &Value) -> bool {
    let status = envelope["status"].as_str();
    matches!(status, Some("done" | "unchanged" | "needs_human")) || envelope["replayed"] == true
}
