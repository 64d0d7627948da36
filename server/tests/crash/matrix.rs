//! The matrix: where the process dies, what the vendor does, with which tool,
//! over which ledger. All of it, or a part that has something of everything.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::{Value, json};
use tenantry_fakes::meta::{Answers, Applies, EffectKind, Fault, Order};
use tenantry_server::crash::Step;

/// Of the campaign with that number at the fake's account in Berlin.
const CAMPAIGN: &str = "12001001004";
const AD_SET: &str = "120010010042";
const CREATIVE: &str = "771200100100421";
/// It has 50.00 EUR a day.
const OTHER_CAMPAIGN: &str = "12001001001";
const PAUSED_CAMPAIGN: &str = "12001001003";

/// A tool that changes something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tool {
    SetBudget,
    /// Of two, one of which has it already.
    SetBudgets,
    /// Of two, each of another campaign.
    SetBoth,
    Activate,
    Pause,
    SetBid,
    Rename,
    CreateCampaign,
    CreateAd,
}

/// What the vendor does with the first request that changes something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Vendor {
    /// Makes the change, and says so.
    Ok,
    /// Refuses it for good.
    Refuses,
    /// Fails, and has not made it.
    Fails,
    /// Fails, and has made it.
    FailsApplied,
    /// Makes it, and does not answer.
    TimeoutApplied,
    /// Makes it, and breaks the connection.
    ResetApplied,
    /// Does not make it, and does not answer.
    TimeoutLost,
    /// Does not answer, and makes it within its quiet time.
    Late,
    /// Does not answer, and makes it when nobody believes in it any more.
    TooLate,
    /// Does not make it, and does not answer; then somebody else changes the
    /// same thing to something third.
    Meddled,
    /// Makes the change, and says so; but somebody else has changed the same
    /// thing between the decision and the request.
    Moved,
}

/// How one process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Death {
    /// By its own hand, right after that step.
    After(Step),
    /// By ours, while the vendor has the request.
    InFlight,
}

/// What the ledger is kept in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Engine {
    Sqlite,
    Postgres,
}

/// How a case ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// The change was made, once.
    Made,
    /// It was not, and the client knows.
    NotMade,
    /// People must find out.
    NeedsHuman,
}

/// One case. Each of `deaths` is of one process, one after the other; one more
/// process, at least, goes on after the last of them.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    pub engine: Engine,
    pub tool: Tool,
    pub vendor: Vendor,
    pub deaths: &'static [Death],
}

const TOOLS: [Tool; 9] = [
    Tool::SetBudget,
    Tool::SetBudgets,
    Tool::SetBoth,
    Tool::Activate,
    Tool::Pause,
    Tool::SetBid,
    Tool::Rename,
    Tool::CreateCampaign,
    Tool::CreateAd,
];

const VENDORS: [Vendor; 11] = [
    Vendor::Ok,
    Vendor::Refuses,
    Vendor::Fails,
    Vendor::FailsApplied,
    Vendor::TimeoutApplied,
    Vendor::ResetApplied,
    Vendor::TimeoutLost,
    Vendor::Late,
    Vendor::TooLate,
    Vendor::Meddled,
    Vendor::Moved,
];

/// The way of a call first, then that of whoever settles after it.
const DEATHS: [&[Death]; 20] = [
    &[],
    &[Death::After(Step::Claimed)],
    &[Death::After(Step::Prepared)],
    &[Death::After(Step::Reserved)],
    &[Death::After(Step::LookedAgain)],
    &[Death::After(Step::SteppedBack)],
    &[Death::After(Step::Sending)],
    &[Death::InFlight],
    &[Death::After(Step::Answered)],
    &[Death::After(Step::Settled)],
    &[Death::After(Step::Recorded)],
    // The client comes again each time, and comes further.
    &[
        Death::After(Step::Claimed),
        Death::After(Step::Reserved),
        Death::After(Step::Answered),
    ],
    &[
        Death::After(Step::SteppedBack),
        Death::After(Step::Reserved),
    ],
    &[Death::After(Step::Reserved), Death::After(Step::TakenOver)],
    &[Death::After(Step::Reserved), Death::After(Step::FoundOut)],
    &[Death::After(Step::Sending), Death::After(Step::Looked)],
    &[Death::After(Step::Answered), Death::After(Step::TakenOver)],
    &[Death::After(Step::Answered), Death::After(Step::Doubted)],
    &[Death::After(Step::Answered), Death::After(Step::Looked)],
    &[Death::After(Step::Answered), Death::After(Step::FoundOut)],
];

/// Every case: all tools over SQLite, one and its batch over PostgreSQL.
pub fn all() -> Vec<Case> {
    let over = |engine, tools: &[Tool]| {
        let mut cases = Vec::new();
        for deaths in DEATHS {
            for vendor in VENDORS {
                cases.extend(tools.iter().map(|tool| Case {
                    engine,
                    tool: *tool,
                    vendor,
                    deaths,
                }));
            }
        }
        cases
    };
    let mut all = over(Engine::Sqlite, &TOOLS);
    all.extend(over(Engine::Postgres, &[Tool::SetBudget, Tool::SetBudgets]));
    all.retain(Case::can_happen);
    all
}

/// A part of `all`: whatever is the first with its tool, its vendor, its deaths or
/// its engine, and some of the rest, each with another of these. Their distance
/// has no divisor in common with the number of any.
pub fn sample(all: Vec<Case>) -> Vec<Case> {
    const EVERY: usize = 13;
    let mut seen = BTreeSet::new();
    let chosen = all.into_iter().enumerate().filter(|(number, case)| {
        let new = case.traits().map(|one| seen.insert(one));
        new.contains(&true) || number % EVERY == 0
    });
    chosen.map(|(_, case)| case).collect()
}

impl Case {
    /// What stops is not looked at again before it is sent, only what does not
    /// answer is in flight for as long as it takes to die, what is either on or
    /// off can be nothing third, and what is not there yet nobody changes. Only
    /// what was changed meanwhile steps back.
    fn can_happen(&self) -> bool {
        // What comes too late is either of the two.
        if self.tool == Tool::SetBoth && self.vendor == Vendor::TooLate {
            return false;
        }
        let looks_again = self.tool != Tool::Pause;
        let is_fixed = self.tool.meddled().is_none();
        let can_be = self.deaths.iter().all(|death| match death {
            Death::After(Step::LookedAgain) => looks_again,
            Death::After(Step::SteppedBack) => self.vendor == Vendor::Moved,
            Death::InFlight => self.vendor.hangs(),
            Death::After(_) => true,
        });
        can_be && !(is_fixed && matches!(self.vendor, Vendor::Meddled | Vendor::Moved))
    }

    fn traits(&self) -> [String; 4] {
        [
            format!("{:?}", self.tool),
            format!("{:?}", self.vendor),
            format!("{:?}", self.deaths),
            format!("{:?}", self.engine),
        ]
    }

    /// How it has to end. What was put down as about to be sent is never sent
    /// again, whether it was or not.
    pub fn end(&self) -> End {
        if self.deaths.contains(&Death::After(Step::Sending)) {
            return End::NotMade;
        }
        match self.vendor {
            Vendor::Meddled => End::NeedsHuman,
            vendor if vendor.makes() => End::Made,
            _ => End::NotMade,
        }
    }
}

impl Tool {
    /// Its name for clients.
    pub fn name(self) -> &'static str {
        match self {
            Self::SetBudget => "meta_set_budget",
            Self::SetBudgets | Self::SetBoth => "set_budgets",
            Self::Activate => "meta_activate",
            Self::Pause => "meta_pause",
            Self::SetBid => "meta_set_bid",
            Self::Rename => "meta_rename",
            Self::CreateCampaign => "meta_create_campaign",
            Self::CreateAd => "meta_create_ad",
        }
    }

    /// What it is called with, but for the key.
    pub fn arguments(self) -> Value {
        let eur = |amount: &str| json!({"amount": amount, "currency": "EUR"});
        match self {
            Self::SetBudget => json!({"ad_set_id": AD_SET, "daily_budget": eur("31.00")}),
            Self::SetBudgets => json!({"tool": "meta_set_budget", "changes": [
                {"campaign_id": OTHER_CAMPAIGN, "daily_budget": eur("50.00")},
                {"ad_set_id": AD_SET, "daily_budget": eur("31.00")},
            ]}),
            Self::SetBoth => json!({"tool": "meta_set_budget", "changes": [
                {"campaign_id": OTHER_CAMPAIGN, "daily_budget": eur("51.00")},
                {"ad_set_id": AD_SET, "daily_budget": eur("31.00")},
            ]}),
            Self::Activate => json!({"campaign_id": PAUSED_CAMPAIGN}),
            Self::Pause => json!({"campaign_id": CAMPAIGN}),
            Self::SetBid => json!({"ad_set_id": AD_SET, "bid": eur("3.00")}),
            Self::Rename => json!({"ad_set_id": AD_SET, "name": "Autumn"}),
            Self::CreateCampaign => json!({
                "account": "act_1001", "name": "Winter", "objective": "OUTCOME_SALES",
                "special_ad_categories": [],
            }),
            Self::CreateAd => json!({
                "ad_set_id": AD_SET, "name": "Film", "creative": {"creative_id": CREATIVE},
            }),
        }
    }

    /// The object that it changes, if it is there before, and what of it.
    pub fn effect(self) -> (Option<&'static str>, EffectKind) {
        match self {
            Self::SetBudget | Self::SetBudgets | Self::SetBoth => {
                (Some(AD_SET), EffectKind::SetBudget)
            }
            Self::Activate => (Some(PAUSED_CAMPAIGN), EffectKind::SetStatus),
            Self::Pause => (Some(CAMPAIGN), EffectKind::SetStatus),
            Self::SetBid => (Some(AD_SET), EffectKind::SetBid),
            Self::Rename => (Some(AD_SET), EffectKind::Rename),
            Self::CreateCampaign | Self::CreateAd => (None, EffectKind::Create),
        }
    }

    /// What somebody else changes to something third, where there is such a
    /// thing: the object, the parameter and the value.
    pub fn meddled(self) -> Option<(&'static str, (&'static str, &'static str))> {
        match self {
            Self::SetBudget | Self::SetBudgets => Some((AD_SET, ("daily_budget", "7700"))),
            Self::SetBid => Some((AD_SET, ("bid_amount", "770"))),
            Self::Rename => Some((AD_SET, ("name", "Somebody else's"))),
            // What somebody else changed would be taken for a change of its own.
            Self::SetBoth
            | Self::Activate
            | Self::Pause
            | Self::CreateCampaign
            | Self::CreateAd => None,
        }
    }

    /// The campaign above the object, or that it is.
    pub fn root(self) -> &'static str {
        match self {
            Self::Activate => PAUSED_CAMPAIGN,
            _ => CAMPAIGN,
        }
    }
}

impl Vendor {
    /// What the fake is told; nothing for a vendor in good health.
    pub fn order(self) -> Option<Order> {
        let (applies, answers) = match self {
            Self::Ok | Self::Moved => return None,
            Self::Refuses => (Applies::Never, Answers::Fault(Fault::BadParameter)),
            Self::Fails => (Applies::Never, Answers::Fault(Fault::InternalError)),
            Self::FailsApplied => (Applies::AtOnce, Answers::Fault(Fault::Unavailable)),
            Self::TimeoutApplied => (Applies::AtOnce, Answers::Hang),
            Self::ResetApplied => (Applies::AtOnce, Answers::Break),
            Self::TimeoutLost | Self::Meddled => (Applies::Never, Answers::Hang),
            Self::Late | Self::TooLate => (Applies::WhenReleased, Answers::Hang),
        };
        Some(Order::next_write(applies, answers))
    }

    fn hangs(self) -> bool {
        self.order()
            .is_some_and(|order| order.answers == Answers::Hang)
    }

    /// Whether it makes what it was sent, in time to be seen.
    pub fn makes(self) -> bool {
        match self {
            Self::Ok
            | Self::Moved
            | Self::FailsApplied
            | Self::TimeoutApplied
            | Self::ResetApplied
            | Self::Late => true,
            Self::Refuses | Self::Fails | Self::TimeoutLost | Self::TooLate | Self::Meddled => {
                false
            }
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let died = |death: &Death| match death {
            Death::After(step) => step.as_str(),
            Death::InFlight => "in-flight",
        };
        let deaths: Vec<_> = self.deaths.iter().map(died).collect();
        let deaths = if deaths.is_empty() {
            "lives".into()
        } else {
            deaths.join("+")
        };
        let Self { engine, vendor, .. } = self;
        let both = match self.tool {
            Tool::SetBoth => " both",
            _ => "",
        };
        let tool = self.tool.name();
        write!(out, "{engine:?} {tool}{both} {vendor:?} {deaths}")
    }
}

#[test]
fn the_sample_has_something_of_everything() {
    let (all, sample) = (all(), sample(all()));
    let of = |cases: &[Case]| -> BTreeSet<String> { cases.iter().flat_map(Case::traits).collect() };
    assert_eq!(of(&sample), of(&all));
    assert!(sample.len() < all.len() / 6);
}
