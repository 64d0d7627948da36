//! The commands that work in a cluster: with the rights of whoever runs them,
//! and nobody else's.

pub mod activity;
pub mod approvals;
pub mod check;
mod config;
pub mod decide;
pub mod explain;
mod forward;
pub mod freeze;
pub mod key;
mod kind;
pub mod ledger;
pub mod plan;
mod proxy;
pub mod report;
pub mod status;
mod tenant;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use clap::ValueEnum;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Client;
use kube::api::{Api, ListParams, PostParams};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tenantry_core::cause::chain;
use tenantry_core::text;

use crate::answer::{self, Unusable};
use crate::cli::place::Place;
use crate::cli::program;

/// For one answer of the API server.
const LIMIT: Duration = Duration::from_secs(30);

/// Characters of a cell that somebody else has written.
const LONGEST_CELL: usize = 256;

/// Characters of what the cluster says is wrong.
const LONGEST_ERROR: usize = 4096;

/// How an answer is printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Table,
    /// The same, with more columns.
    Wide,
    /// For programs.
    Json,
    /// The same as YAML.
    Yaml,
}

/// A cluster, and the namespace that is meant.
pub struct Cluster {
    client: Client,
    namespace: String,
    /// What leads there once more, for the commands that are suggested.
    there: String,
    /// Whether it was said that definitions there are newer.
    is_newer: Rc<Cell<bool>>,
}

impl Cluster {
    /// Reaches the one that the kubeconfig names, or whose pod this is.
    pub async fn reach(place: &Place) -> Result<Self, Unusable> {
        if place.user.is_none() && !place.groups.is_empty() {
            return Err(Unusable::because("--as-group says nothing without --as"));
        }
        let config = config::of(place).await?;
        // Of a variable that is not set, or a context that names none.
        let meant = place.namespace.clone().into_iter();
        let mut meant = meant.chain([config.default_namespace.clone()]);
        let namespace = meant.find(|name| !name.is_empty());
        let namespace = namespace.unwrap_or_else(|| "default".into());
        let client = Client::try_from(config).map_err(|error| unreachable(&error))?;
        let there = place.again(&namespace);
        Ok(Self {
            client,
            namespace,
            there,
            is_newer: Rc::default(),
        })
    }

    /// How a person says `words` to this program, of the same place.
    fn again(&self, words: &str) -> String {
        format!("{} {words} {}", program(), self.there)
    }

    /// Who asks, as the API server knows them.
    async fn me(&self) -> Result<String, Unusable> {
        let reviews: Api<SelfSubjectReview> = Api::all(self.client.clone());
        let (params, question) = (PostParams::default(), SelfSubjectReview::default());
        let review = reviews.create(&params, &question).await;
        let review = review.map_err(|error| failed(&error))?;
        let user = review.status.and_then(|status| status.user_info);
        let name = user.and_then(|user| user.username);
        name.ok_or_else(|| Unusable::because("the API server does not say who you are"))
    }
}

/// What the API server said, where it is no; that it has too much to do is none.
fn failed(error: &kube::Error) -> Unusable {
    match error {
        kube::Error::Api(status) if (400..500).contains(&status.code) && status.code != 429 => {
            Unusable::refused(text::presentable(&status.message, LONGEST_ERROR))
        }
        kube::Error::Api(status) => said(&status.message),
        other => unreachable(other),
    }
}

/// What the API server, or whoever stands before it, said instead of an answer.
fn said(message: &str) -> Unusable {
    let told = text::presentable(message, LONGEST_ERROR);
    Unusable::because(format!("the cluster: {told}"))
}

/// What stands there under a name; that there is nothing is the API server's
/// own word, and no proxy's.
async fn find<K>(api: &Api<K>, name: &str) -> Result<Option<K>, Unusable>
where
    K: Clone + std::fmt::Debug + DeserializeOwned,
{
    match api.get(name).await {
        Ok(found) => Ok(Some(found)),
        Err(kube::Error::Api(status)) if status.reason == "NotFound" => Ok(None),
        Err(kube::Error::Api(status)) if status.code == 404 => Err(said(&status.message)),
        Err(error) => Err(failed(&error)),
    }
}

/// All there are of a kind; nothing if the user may not list them.
async fn listed<K>(api: &Api<K>) -> Result<Option<Vec<K>>, Unusable>
where
    K: Clone + std::fmt::Debug + DeserializeOwned,
{
    match api.list(&ListParams::default()).await {
        Ok(found) => Ok(Some(found.items)),
        Err(kube::Error::Api(status)) if status.code == 403 => Ok(None),
        // The API server's own word that there is nothing, or a proxy's.
        Err(kube::Error::Api(status)) if status.code == 404 => Err(said(&status.message)),
        Err(error) => Err(failed(&error)),
    }
}

fn unreachable(error: &kube::Error) -> Unusable {
    let told = text::presentable(&chain(error), LONGEST_ERROR);
    Unusable::because(format!("the cluster: {told}"))
}

/// The form for programs, if one is asked for.
fn for_programs(value: &impl Serialize, output: Output) -> Option<Result<String, Unusable>> {
    match output {
        Output::Table | Output::Wide => None,
        Output::Json => Some(Ok(answer::json(value))),
        Output::Yaml => Some(answer::yaml(value)),
    }
}

/// What somebody else has written, so that it can be seen for what it is.
fn cell(text: &str) -> String {
    text::presentable(text, LONGEST_CELL)
}

/// How far away a moment is, in its largest unit.
fn away(moment: &Time, now: Timestamp) -> String {
    let length = moment.0.duration_since(now);
    let (seconds, is_past) = (length.abs().as_secs(), length < SignedDuration::ZERO);
    let text = match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    };
    if is_past {
        format!("{text} ago")
    } else {
        format!("in {text}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_as_far_away_as_its_largest_unit_says() {
        let now = Timestamp::UNIX_EPOCH;
        for (seconds, text) in [
            (0, "in 0s"),
            (119, "in 119s"),
            (120, "in 2m"),
            (-7_199, "119m ago"),
            (7_200, "in 2h"),
            (172_800, "in 2d"),
            (-864_000, "10d ago"),
        ] {
            let moment = Time(now + SignedDuration::from_secs(seconds));
            assert_eq!(away(&moment, now), text);
        }
    }
}
