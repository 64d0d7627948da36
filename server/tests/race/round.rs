//! One round: the clients ask, servers die, and when all have their answers,
//! what was really changed is counted.

use std::fmt;
use std::ops::AddAssign;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use futures::future::try_join_all;
use jiff::Timestamp;
use tempfile::TempDir;
use tenantry_core::ledger_mark::LedgerId;
use tenantry_core::name::Organization;
use tenantry_fakes::meta::{Effect, EffectKind, FakeMeta};
use tenantry_ledger::ledger::{LEAST_RETENTION, Ledger, MOST_WAITING, Opening};
use tenantry_ledger::place::Place;

use crate::client::{Client, End, Standing, Standings};
use crate::documents::{self, TOKEN};
use crate::plan::{CLIENTS, Plan};
use crate::postgres;
use crate::program::LOOK;
use crate::replicas::{Common, REPLICAS, Replicas};

/// How long one round may take. Machines are busy.
const PATIENCE: Duration = Duration::from_mins(4);

/// What the ad sets have before.
const BUDGET_CENTS: u64 = 2_000;

/// What became of the changes of one round or of several.
#[derive(Debug, Default)]
pub struct Count {
    changes: u64,
    rooms: u64,
    made: u64,
    over_cap: u64,
    not_made: u64,
    needs_human: u64,
    deaths: u64,
}

/// A round under way.
struct Round<'p> {
    plan: &'p Plan,
    fake: FakeMeta,
    ad_sets: Vec<String>,
    organization: Organization,
    place: Place,
    standings: Standings,
    _documents: TempDir,
}

/// Runs a round; where it fails, all that its processes said comes with the
/// error.
pub async fn run(plan: &Plan, number: u32) -> Result<Count> {
    let documents = TempDir::new()?;
    let (round, common) = Round::build(plan, number, documents).await?;
    let mut replicas = Replicas::start(common).await?;
    let ended = tokio::time::timeout(PATIENCE, round.go(&mut replicas)).await;
    let ended = ended.unwrap_or_else(|_| bail!("it took longer than {PATIENCE:?}"));
    ended.map_err(|error| {
        let standings = round.standings.borrow().clone();
        let logs = replicas.said.iter().zip(1..);
        let logs = logs.map(|(said, number)| format!("--- process {number}\n{}", said.log.text()));
        anyhow!("{error:#}\n{standings:?}\n{}", logs.collect::<String>())
    })
}

impl<'p> Round<'p> {
    async fn build(plan: &'p Plan, number: u32, documents: TempDir) -> Result<(Self, Common)> {
        let fake = FakeMeta::start().await?;
        fake.grant(TOKEN, &["act_1001"]);
        // One change at a time of each campaign, so every client has its own.
        let campaigns = (0..CLIENTS).map(|_| fake.add_campaign("act_1001"));
        let ad_sets = campaigns.flat_map(|ad_sets| ad_sets.into_iter().take(1));
        let ad_sets = ad_sets.collect();
        // A schema of its own in the database.
        let organization = format!("race-{number}");
        let common = Common {
            dir: documents.path().join("documents"),
            ledger: documents.path().join("postgres.json"),
            vendor: fake.url(),
        };
        std::fs::create_dir(&common.dir)?;
        documents::write(&common.dir, &organization, &plan.policy())?;
        let place = postgres::place();
        std::fs::write(&common.ledger, documents::told(&place).to_string())?;
        let round = Self {
            plan,
            fake,
            ad_sets,
            organization: Organization::parse(&organization).context("a name")?,
            place: Place::Postgres(place),
            standings: Standings::new(vec![Standing::Asking; usize::try_from(CLIENTS)?]),
            _documents: documents,
        };
        Ok((round, common))
    }

    async fn go(&self, replicas: &mut Replicas) -> Result<Count> {
        let http = reqwest::Client::builder().no_proxy().build()?;
        let urls = replicas.urls();
        let clients = self.ad_sets.iter().enumerate().map(|(number, ad_set)| {
            let (urls, http) = (urls.clone(), &http);
            let client = Client {
                number,
                ad_set,
                target_cents: BUDGET_CENTS + self.plan.amount_cents,
                urls,
                standings: &self.standings,
                http,
            };
            async move { client.ask().await }
        });
        let (ends, deaths) = futures::try_join!(try_join_all(clients), self.storm(replicas))?;
        let mut count = Count::of(&ends, self.plan.room());
        count.deaths = deaths;
        self.is_true(&ends)?;
        self.is_fair(&count)?;
        self.is_settled(&count).await?;
        replicas.end().await?;
        Ok(count)
    }

    /// Servers die; then time passes, so that what they left is settled.
    async fn storm(&self, replicas: &mut Replicas) -> Result<u64> {
        let mut deaths = 0;
        for death in &self.plan.deaths {
            tokio::select! {
                () = self.fake.arrived(death.after_requests) => {}
                () = self.nobody_asks() => break,
            }
            replicas.replace(&death.who, 0).await?;
            deaths += death.who.len();
        }
        if deaths > 0 {
            self.nobody_asks().await;
            let all: Vec<usize> = (0..REPLICAS).collect();
            replicas.replace(&all, 1).await?;
        }
        Ok(deaths.try_into()?)
    }

    async fn nobody_asks(&self) {
        let mut standings = self.standings.subscribe();
        let nobody = standings.wait_for(|all| !all.contains(&Standing::Asking));
        // INVARIANT: the sender is this round's.
        drop(nobody.await.unwrap());
    }

    /// What clients were told is what was done, once at most; together it is not
    /// more than the cap.
    fn is_true(&self, ends: &[End]) -> Result<()> {
        let effects = self.fake.effects();
        let effects = effects.iter();
        let budgets: Vec<&Effect> = effects
            .filter(|effect| effect.kind == EffectKind::SetBudget)
            .collect();
        let mut risen_cents = 0;
        for (ad_set, end) in self.ad_sets.iter().zip(ends) {
            let own: Vec<_> = budgets.iter().filter(|it| it.object == *ad_set).collect();
            let fits = match end {
                End::Made => own.len() == 1,
                End::OverCap | End::NotMade => own.is_empty(),
                End::NeedsHuman => own.len() <= 1,
            };
            ensure!(fits, "{ad_set} ended as {end:?}, with {own:?}");
            for effect in own {
                risen_cents += risen(effect)?;
            }
        }
        let cap = self.plan.cap_cents;
        ensure!(risen_cents <= cap, "{risen_cents} is more than {cap} cents");
        let made = ends.iter().filter(|end| **end != End::OverCap).count();
        ensure!(budgets.len() <= made, "somebody else's budget was changed");
        Ok(())
    }

    /// What fits is made: all of it where nobody died, and where somebody did,
    /// what is missing is known to be.
    fn is_fair(&self, count: &Count) -> Result<()> {
        let room = self.plan.room();
        let lost = count.not_made + count.needs_human;
        if self.plan.deaths.is_empty() {
            ensure!(count.made == room && lost == 0, "{room} fit, but {count}");
        }
        ensure!(count.made + lost >= room, "{room} fit, but {count}");
        Ok(())
    }

    /// Nothing is left in the ledger but what people must find out.
    async fn is_settled(&self, count: &Count) -> Result<()> {
        let opening = Opening {
            place: &self.place,
            organization: &self.organization,
            tenant_uid: "tenant-uid",
            expected: None,
            id_if_new: LedgerId::of_random([0; 16]),
            retention: LEAST_RETENTION,
            most_waiting: MOST_WAITING,
        };
        let ledger = Ledger::open(opening, Timestamp::now()).await?;
        while !ledger.unsettled().await?.is_empty() {
            tokio::time::sleep(LOOK).await;
        }
        let people = u64::try_from(ledger.needing_people().await?.len())?;
        let told = count.needs_human;
        ensure!(people == told, "{people} changes need people, not {told}");
        ledger.close().await;
        Ok(())
    }
}

/// By how much a budget rose.
fn risen(effect: &Effect) -> Result<u64> {
    let cents = |value: &serde_json::Value| {
        let cents = value["daily_budget"].as_str().context("no daily budget")?;
        cents.parse::<u64>().context("no amount")
    };
    let (before, after) = (cents(&effect.before)?, cents(&effect.after)?);
    after.checked_sub(before).context("a budget fell")
}

impl Count {
    fn of(ends: &[End], room: u64) -> Self {
        let of = |wanted: End| ends.iter().map(|end| u64::from(*end == wanted)).sum();
        Self {
            changes: CLIENTS,
            rooms: room,
            made: of(End::Made),
            over_cap: of(End::OverCap),
            not_made: of(End::NotMade),
            needs_human: of(End::NeedsHuman),
            deaths: 0,
        }
    }
}

impl AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        self.changes += other.changes;
        self.rooms += other.rooms;
        self.made += other.made;
        self.over_cap += other.over_cap;
        self.not_made += other.not_made;
        self.needs_human += other.needs_human;
        self.deaths += other.deaths;
    }
}

impl fmt::Display for Count {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            changes,
            rooms,
            made,
            over_cap,
            not_made,
            needs_human,
            deaths,
        } = self;
        write!(
            out,
            "{deaths} deaths, {changes} changes wanted, {rooms} fit: {made} made, {over_cap} over the cap, \
             {not_made} not made, {needs_human} need people"
        )
    }
}
