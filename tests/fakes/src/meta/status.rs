//! What a campaign, an ad set or an ad does in fact, given what it and those
//! above it are switched to.

use serde_json::{Value, json};

use super::world::{Kind, World, text};

/// What one is switched to that is not running and what one below shows then.
/// Its own switch comes first, then the nearest one above.
fn effective(own: &str, ad_set: Option<&str>, campaign: Option<&str>) -> &'static str {
    let gone = |status: &str| match status {
        "DELETED" => Some("DELETED"),
        "ARCHIVED" => Some("ARCHIVED"),
        _ => None,
    };
    let all = [Some(own), ad_set, campaign];
    // DELETED anywhere above outweighs ARCHIVED, which can still become it.
    let worst = all.into_iter().flatten().filter_map(gone).max();
    match (worst, own, ad_set, campaign) {
        (Some(gone), ..) => gone,
        (None, "PAUSED", ..) => "PAUSED",
        (None, _, Some("PAUSED"), _) => "ADSET_PAUSED",
        (None, _, _, Some("PAUSED")) => "CAMPAIGN_PAUSED",
        _ => "ACTIVE",
    }
}

fn is_gone(status: &str) -> bool {
    matches!(status, "DELETED" | "ARCHIVED")
}

impl World {
    /// Works out again what everything of a campaign does in fact.
    pub fn settle_statuses(&mut self, campaign: &str) {
        let own: Vec<(String, String)> = self
            .objects
            .iter()
            .map(|object| &object.row)
            .map(|row| (text(row, "id").to_owned(), text(row, "status").to_owned()))
            .collect();
        let status_of = |id: &str| {
            let mut all = own.iter();
            let found = all.find(|(one, _)| !id.is_empty() && one == id);
            found.map(|(_, status)| status.as_str())
        };
        for object in &mut self.objects {
            let row = &mut object.row;
            let is_top = object.kind == Kind::Campaign && text(row, "id") == campaign;
            if !is_top && text(row, "campaign_id") != campaign {
                continue;
            }
            let ad_set = status_of(text(row, "adset_id"));
            let above = status_of(text(row, "campaign_id"));
            let status = effective(text(row, "status"), ad_set, above);
            // What Meta makes of it itself is shown whatever stands above it.
            let is_on = text(row, "status") == "ACTIVE" && !is_gone(status);
            let review = row.get("review").and_then(Value::as_str).map(str::to_owned);
            let status = review
                .filter(|_| is_on)
                .unwrap_or_else(|| status.to_owned());
            row.insert("effective_status".into(), json!(status));
        }
    }
}
