//! What a `SafetyPolicy` means: the same in exact numbers and checked names.

pub mod duration;
pub mod proof;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use tenantry_core::access::ToolClass;
use tenantry_core::name::{
    AccountId, ConnectorName, Currency, KeyId, NameError, ObjectId, ToolName,
};
use tenantry_core::policy::amount::{Amount, ExchangeRate};
use tenantry_core::policy::decide::DEFAULT_EXPIRES_AFTER_MS;
use tenantry_core::policy::expression::Expression;
use tenantry_core::policy::{self as core, Policy};

use crate::compile::{Flaw, Flaws};
use crate::safety_policy::approval::{Approval, Rule, RuleAction, When};
use crate::safety_policy::budget::{self, Budget, PerChange, PerObject, PerWindow, WindowScope};
use crate::safety_policy::limit::{Bids, Create, Deactivate, Financial, Pending, Records, Removal};
use crate::safety_policy::scope::{Match, WriteClass};
use crate::safety_policy::{Disclose, Mode, SafetyPolicy, SafetyPolicySpec};

/// Where a policy stands, and so whom it binds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// In the operator's namespace: every namespace that it selects.
    Platform,
    /// In the organisation's own namespace: that organisation.
    Organization,
}

/// How many people must agree, where an entry does not say.
const APPROVERS: u32 = 1;

/// The window that increases add up in, where an entry does not say.
const WINDOW_MS: i64 = 24 * 60 * 60 * 1000;

/// The name by which answers, approvals and the record call the policy `name`.
pub fn full_name(name: &str, origin: Origin) -> String {
    match origin {
        Origin::Platform => format!("platform/{name}"),
        Origin::Organization => name.to_owned(),
    }
}

/// What `policy` means. All flaws are kept, so that one edit can mend them.
pub fn compile(policy: &SafetyPolicy, origin: Origin) -> Result<Policy, Vec<Flaw>> {
    let mut flaws = Flaws::default();
    if origin == Origin::Organization && policy.spec.namespace_selector.is_some() {
        let message = "spec.namespaceSelector: only a policy in the operator's namespace selects namespaces; leave it out";
        flaws.0.push(Flaw::spec(message.into()));
    }
    let compiled = flaws.policy(name(policy, origin), &policy.spec);
    if flaws.0.is_empty() {
        Ok(compiled)
    } else {
        Err(flaws.0)
    }
}

/// A policy that was never accepted: it denies what it would have bound. What
/// it would have bound, as far as that can be read; else everything.
pub fn refusal(policy: &SafetyPolicy, origin: Origin, cause: &str) -> Policy {
    let mut flaws = Flaws::default();
    let covers = policy.spec.r#match.as_ref();
    let covers = covers.map(|form| flaws.covers(form)).unwrap_or_default();
    Policy {
        unaccepted: Some(cause.to_owned()),
        covers: if flaws.0.is_empty() {
            covers
        } else {
            core::Match::default()
        },
        mode: mode(policy.spec.mode),
        ..Policy::named(name(policy, origin))
    }
}

impl Flaws {
    fn policy(&mut self, name: String, spec: &SafetyPolicySpec) -> Policy {
        let SafetyPolicySpec {
            mode: form_mode,
            namespace_selector: _,
            r#match,
            currency,
            budget,
            bids,
            financial,
            create,
            records,
            deactivate,
            approvals,
            rules,
            protected,
            exchange_rates,
            pending,
            disclose,
            tests: _,
        } = spec;
        let currency = currency.as_deref();
        Policy {
            mode: mode(*form_mode),
            covers: r#match
                .as_ref()
                .map(|form| self.covers(form))
                .unwrap_or_default(),
            currency: currency.and_then(|code| self.good(Currency::parse(code), "spec.currency")),
            budget: budget
                .as_ref()
                .map(|form| self.budgets(form))
                .unwrap_or_default(),
            bids: bids.as_ref().map(|form| self.bids(form)),
            financial: financial.as_ref().map(|form| self.financial(form)),
            create: create.as_ref().map(|form| self.create(form)),
            records: records.as_ref().map(|form| self.records(form)),
            deactivate: deactivate.as_ref().map(|form| self.deactivate(form)),
            approvals: approvals.iter().map(|form| self.ask(form)).collect(),
            rules: rules.iter().filter_map(|form| self.rule(form)).collect(),
            protected: self.names(protected, ObjectId::parse, "spec.protected"),
            exchange_rates: exchange_rates
                .iter()
                .filter_map(|form| self.rate(form))
                .collect(),
            pending: pending
                .as_ref()
                .map(|form| self.pending(form))
                .unwrap_or_default(),
            disclose: (*disclose).map(disclosed).unwrap_or_default(),
            ..Policy::named(name)
        }
    }

    fn covers(&mut self, form: &Match) -> core::Match {
        let connectors = form.connectors.as_deref();
        let accounts = form.accounts.as_deref();
        let tools = form.tools.as_deref();
        let keys = form.keys.as_deref();
        let objects = form.objects.as_deref();
        let at = "spec.match";
        core::Match {
            connectors: connectors.map(|all| self.names(all, ConnectorName::parse, at)),
            accounts: accounts.map(|all| self.names(all, AccountId::parse, at)),
            tools: tools.map(|all| self.names(all, ToolName::parse, at)),
            classes: form.classes.as_deref().map(classes),
            keys: keys.map(|all| self.names(all, KeyId::parse, at)),
            objects: objects.map(|all| self.names(all, ObjectId::parse, at)),
        }
    }

    fn budgets(&mut self, form: &Budget) -> core::Budgets {
        let at = "spec.budget";
        core::Budgets {
            per_change: form
                .per_change
                .as_ref()
                .map(|form| self.per_change(form))
                .unwrap_or_default(),
            per_object: form
                .per_object
                .as_ref()
                .map(|form| self.per_object(form))
                .unwrap_or_default(),
            per_window: form
                .per_window
                .iter()
                .filter_map(|form| self.per_window(form))
                .collect(),
            exposure: form.exposure.as_ref().and_then(|form| {
                Some(core::Exposure {
                    max_active_daily: self.amount(Some(&form.max_active_daily), at)?,
                    overspend_percent: form
                        .overspend_factor
                        .as_deref()
                        .and_then(|text| self.percent_of_factor(text)),
                })
            }),
        }
    }

    fn per_change(&mut self, form: &PerChange) -> core::PerChange {
        let at = "spec.budget.perChange";
        core::PerChange {
            max_daily_increase: self.amount(form.max_daily_increase.as_ref(), at),
            max_lifetime_increase: self.amount(form.max_lifetime_increase.as_ref(), at),
            max_increase_percent: self.count(form.max_increase_percent, at),
            max_decrease_percent: self.count(form.max_decrease_percent, at),
        }
    }

    fn per_object(&mut self, form: &PerObject) -> core::PerObject {
        let at = "spec.budget.perObject";
        core::PerObject {
            max_daily: self.amount(form.max_daily.as_ref(), at),
            max_lifetime: self.amount(form.max_lifetime.as_ref(), at),
            min_interval_ms: form
                .min_interval
                .as_deref()
                .and_then(|text| self.duration(text, at)),
            max_changes_per_day: self.count(form.max_changes_per_day, at),
            max_increase_percent_per_day: self.count(form.max_increase_percent_per_day, at),
        }
    }

    fn per_window(&mut self, form: &PerWindow) -> Option<core::PerWindow> {
        let at = "spec.budget.perWindow";
        Some(core::PerWindow {
            window_ms: self.duration(&form.window, at)?,
            scope: scope(form.scope),
            max_daily_increase: self.amount(form.max_daily_increase.as_ref(), at),
            max_lifetime_increase: self.amount(form.max_lifetime_increase.as_ref(), at),
        })
    }

    fn bids(&mut self, form: &Bids) -> core::Bids {
        let at = "spec.bids";
        core::Bids {
            max_increase_percent: self.count(form.max_increase_percent, at),
            floor: self.amount(form.floor.as_ref(), at),
            ceiling: self.amount(form.ceiling.as_ref(), at),
            removal: match form.removal {
                None | Some(Removal::Ask) => core::Removal::Ask,
                Some(Removal::Allow) => core::Removal::Allow,
                Some(Removal::Deny) => core::Removal::Deny,
            },
        }
    }

    fn financial(&mut self, form: &Financial) -> core::Financial {
        let at = "spec.financial";
        core::Financial {
            max_amount: self.amount(form.max_amount.as_ref(), at),
            max_increase: self.amount(form.max_increase.as_ref(), at),
            per_window: form
                .per_window
                .iter()
                .filter_map(|form| {
                    Some(core::FinancialWindow {
                        window_ms: self.duration(&form.window, at)?,
                        scope: scope(form.scope),
                        max_increase: self.amount(Some(&form.max_increase), at)?,
                    })
                })
                .collect(),
            states: form
                .states
                .as_ref()
                .map(|all| all.iter().cloned().collect()),
        }
    }

    fn create(&mut self, form: &Create) -> core::Create {
        core::Create {
            force_paused: form.force_paused,
            max_per_day: self.count(form.max_per_day, "spec.create"),
            require_end_date: form.require_end_date,
        }
    }

    fn records(&mut self, form: &Records) -> core::Records {
        core::Records {
            max_per_call: self.count(form.max_per_call, "spec.records"),
            max_per_day: self.count(form.max_per_day, "spec.records"),
        }
    }

    fn deactivate(&mut self, form: &Deactivate) -> core::Deactivate {
        core::Deactivate {
            max_per_hour: self.count(form.max_per_hour, "spec.deactivate"),
            ask_above: self.amount(form.ask_above.as_ref(), "spec.deactivate"),
        }
    }

    fn ask(&mut self, form: &Approval) -> core::Ask {
        let at = format!("spec.approvals[{}]", form.name);
        core::Ask {
            name: form.name.clone(),
            approver_class: form.approver_class.clone(),
            when: self.when(&form.when, &at),
            approvers: self.count(form.approvers, &at).unwrap_or(APPROVERS),
            expires_after_ms: form
                .expires_after
                .as_deref()
                .and_then(|text| self.duration(text, &at))
                .unwrap_or(DEFAULT_EXPIRES_AFTER_MS),
        }
    }

    fn when(&mut self, form: &When, at: &str) -> core::When {
        core::When {
            daily_increase_over: self.amount(form.daily_increase_over.as_ref(), at),
            lifetime_increase_over: self.amount(form.lifetime_increase_over.as_ref(), at),
            increase_percent_over: self.count(form.increase_percent_over, at),
            window_increase_over: form.window_increase_over.as_ref().and_then(|form| {
                let window = form.window.as_deref();
                Some(core::WindowIncrease {
                    amount: self.amount(Some(&form.amount), at)?,
                    scope: scope(form.scope),
                    window_ms: match window {
                        Some(text) => self.duration(text, at)?,
                        None => WINDOW_MS,
                    },
                })
            }),
            amount_over: self.amount(form.amount_over.as_ref(), at),
            classes: form.classes.as_deref().map(classes),
            cel: form
                .cel
                .as_deref()
                .and_then(|text| self.good(Expression::parse(text), at)),
        }
    }

    fn rule(&mut self, form: &Rule) -> Option<core::Rule> {
        let at = format!("spec.rules[{}]", form.name);
        let action = match (form.action, &form.approver_class) {
            (RuleAction::Deny, None) => core::RuleAction::Deny,
            (RuleAction::Ask, Some(class)) => core::RuleAction::Ask {
                approver_class: class.clone(),
            },
            _ => {
                let message = "approverClass says who decides when action is Ask, and only then";
                self.0.push(Flaw::spec(format!("{at}: {message}")));
                return None;
            }
        };
        Some(core::Rule {
            name: form.name.clone(),
            when: self.good(Expression::parse(&form.when), &at)?,
            action,
            message: form.message.clone(),
        })
    }

    fn rate(&mut self, form: &budget::ExchangeRate) -> Option<ExchangeRate> {
        let at = format!("spec.exchangeRates[{}]", form.currency);
        let rate_nanos = nanos(&form.rate);
        if rate_nanos.is_none() {
            self.0.push(Flaw::spec(format!(
                "{at}.rate: `{}` is not a rate",
                form.rate
            )));
        }
        Some(ExchangeRate {
            currency: self.good(Currency::parse(&form.currency), &at)?,
            rate_nanos: rate_nanos?,
            as_of: form.as_of.0,
            max_age_ms: self.duration(&form.max_age, &at)?,
        })
    }

    fn pending(&mut self, form: &Pending) -> core::Pending {
        let at = "spec.pending";
        let default = core::Pending::default();
        core::Pending {
            max_per_key: self
                .count(form.max_per_key, at)
                .unwrap_or(default.max_per_key),
            max_per_tenant: self
                .count(form.max_per_tenant, at)
                .unwrap_or(default.max_per_tenant),
            share_percent: self.count(form.share, at).unwrap_or(default.share_percent),
        }
    }

    fn amount(&mut self, text: Option<&String>, at: &str) -> Option<Amount> {
        self.good(Amount::parse(text?), at)
    }

    fn duration(&mut self, text: &str, at: &str) -> Option<i64> {
        let parsed = duration::millis(text);
        if parsed.is_none() {
            self.0.push(Flaw::spec(format!(
                "{at}: `{text}` is not a duration such as 24h"
            )));
        }
        parsed
    }

    fn count(&mut self, number: Option<i32>, at: &str) -> Option<u32> {
        let number = number?;
        let counted = u32::try_from(number).ok();
        if counted.is_none() {
            self.0
                .push(Flaw::spec(format!("{at}: {number} is below zero")));
        }
        counted
    }

    fn percent_of_factor(&mut self, factor: &str) -> Option<u32> {
        let hundredths = Amount::parse(factor)
            .ok()
            .map(|factor| factor.micros() / 10_000);
        let percent = hundredths.and_then(|percent| u32::try_from(percent).ok());
        if percent.is_none_or(|percent| percent < 100) {
            let message = format!("spec.budget.exposure.overspendFactor: `{factor}` is no factor");
            self.0.push(Flaw::spec(message));
        }
        percent
    }

    fn names<T: Ord>(
        &mut self,
        texts: &[String],
        parse: fn(&str) -> Result<T, NameError>,
        at: &str,
    ) -> BTreeSet<T> {
        let parsed = texts.iter().filter_map(|text| self.good(parse(text), at));
        parsed.collect()
    }
}

fn name(policy: &SafetyPolicy, origin: Origin) -> String {
    full_name(policy.metadata.name.as_deref().unwrap_or_default(), origin)
}

/// A decimal as billionths, if it is above zero.
fn nanos(rate: &str) -> Option<u64> {
    const DIGITS: usize = 9;
    let (whole, fraction) = rate.split_once('.').unwrap_or((rate, ""));
    let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || fraction.len() > DIGITS || !is_plain(whole) || !is_plain(fraction) {
        return None;
    }
    let nanos: u64 = format!("{whole}{fraction:0<DIGITS$}").parse().ok()?;
    (nanos > 0).then_some(nanos)
}

fn mode(form: Mode) -> core::Mode {
    match form {
        Mode::Enforce => core::Mode::Enforce,
        Mode::Shadow => core::Mode::Shadow,
    }
}

fn disclosed(form: Disclose) -> core::Disclose {
    match form {
        Disclose::None => core::Disclose::None,
        Disclose::Verdicts => core::Disclose::Verdicts,
        Disclose::Headroom => core::Disclose::Headroom,
    }
}

fn scope(form: WindowScope) -> core::Scope {
    match form {
        WindowScope::Account => core::Scope::Account,
        WindowScope::Connector => core::Scope::Connector,
        WindowScope::Organization => core::Scope::Organization,
    }
}

fn classes(forms: &[WriteClass]) -> BTreeSet<ToolClass> {
    let class = |form: &WriteClass| match form {
        WriteClass::Write => ToolClass::Write,
        WriteClass::Spend => ToolClass::Spend,
        WriteClass::Financial => ToolClass::Financial,
        WriteClass::Destructive => ToolClass::Destructive,
    };
    forms.iter().map(class).collect()
}
