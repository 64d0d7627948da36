//! A message as a chat takes it: the body of Slack's incoming webhooks, which
//! others read as well. Pure.
//!
//! All of it is plain text: what is not formatted cannot be forged. Slack's
//! limits (<https://docs.slack.dev/reference/block-kit/blocks>): 50 blocks, 150
//! characters of a header, 3,000 of a section, 10 fields of 2,000 each.

use serde_json::{Value, json};
use tenantry_core::notification::Occasion;

use super::words::quoted;

/// Characters of one of the facts; grown by [`GROWTH`](super::words::GROWTH) it
/// fits into a field.
const LONGEST_FACT: usize = 320;

/// Characters of a line about the change, and of what a rule says; either fits
/// into a section.
const LONGEST_LINE: usize = 512;

/// Characters of something to type; two of them fit into a section.
const LONGEST_COMMAND: usize = 256;

/// Characters of the title, as far as others choose them: an organisation's
/// name has 40 at most, a connector's 16.
const LONGEST_TITLE: usize = 110;

/// Facts of a message.
const MOST_FACTS: usize = 10;

/// Rules of a message; of more it is said how many.
const MOST_RULES: usize = 5;

/// What is told, before it is written for anybody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// The same for the same event, however often and by whomever it is told.
    pub id: String,
    /// Of which kind it is.
    pub occasion: Occasion,
    /// What happened to whom, in our words.
    pub title: String,
    /// What the change does, in a line.
    pub summary: Option<String>,
    /// What else there is to know, each with what it is.
    pub facts: Vec<(&'static str, String)>,
    /// What the rules say that asked or denied.
    pub rules: Vec<String>,
    /// What somebody types who wants to see or decide it.
    pub commands: Vec<String>,
    /// Of how many others this one is told instead.
    pub more: u64,
}

impl Notice {
    /// The body that is sent.
    pub fn body(&self) -> String {
        let title = quoted(&self.title, LONGEST_TITLE);
        // Slack refuses a text that is empty.
        let summary = self.summary.as_deref().filter(|text| !text.is_empty());
        let summary = summary.map(|summary| quoted(summary, LONGEST_LINE));
        let facts = self.facts.iter().take(MOST_FACTS);
        let facts: Vec<_> = facts
            .map(|(what, fact)| (*what, quoted(fact, LONGEST_FACT)))
            .collect();
        let rest = self.rest();
        let mut blocks = vec![json!({"type": "header", "text": plain(&title)})];
        blocks.extend(summary.as_deref().map(section));
        if !facts.is_empty() {
            let fields = facts
                .iter()
                .map(|(what, fact)| plain(&format!("{what}\n{fact}")));
            blocks.push(json!({"type": "section", "fields": fields.collect::<Vec<_>>()}));
        }
        blocks.extend(rest.iter().map(|line| section(line)));
        let lines = facts.iter().map(|(what, fact)| format!("{what}: {fact}"));
        let text = [title].into_iter().chain(summary).chain(lines).chain(rest);
        let text = text.collect::<Vec<_>>().join("\n");
        json!({"text": text, "mrkdwn": false, "blocks": blocks}).to_string()
    }

    /// What stands below the facts, each in a section of its own.
    fn rest(&self) -> Vec<String> {
        let rules = self.rules.iter().take(MOST_RULES);
        let mut rest: Vec<_> = rules.map(|rule| quoted(rule, LONGEST_LINE)).collect();
        let others = self.rules.len().saturating_sub(MOST_RULES);
        if others > 0 {
            rest.push(format!("and {others} more rules"));
        }
        if self.more > 0 {
            rest.push(format!(
                "and {} more since the last such message",
                self.more
            ));
        }
        if !self.commands.is_empty() {
            let commands = self.commands.iter();
            let commands: Vec<_> = commands.map(|one| quoted(one, LONGEST_COMMAND)).collect();
            rest.push(commands.join("\n"));
        }
        rest
    }
}

fn section(text: &str) -> Value {
    json!({"type": "section", "text": plain(text)})
}

fn plain(text: &str) -> Value {
    json!({"type": "plain_text", "text": text, "emoji": false})
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn notice() -> Notice {
        Notice {
            id: "msg_1".into(),
            occasion: Occasion::Pending,
            title: "acme: a change waits for people".into(),
            summary: Some("ad set 42, daily_budget 30.50 EUR to 40.00 EUR".into()),
            facts: vec![
                ("Tool", "meta_set_budget".into()),
                ("Asked by", "ann@acme.example".into()),
            ],
            rules: vec!["ads/large: more than 5 EUR a day".into()],
            commands: vec![
                "kubectl mcp show 5c1f0a2be9d4 -n acme".into(),
                "kubectl mcp approve 5c1f0a2be9d4 -n acme".into(),
            ],
            more: 0,
        }
    }

    #[test]
    fn a_message_says_the_same_in_blocks_and_in_text() {
        let body: Value = serde_json::from_str(&notice().body()).unwrap();
        assert_eq!(
            body,
            json!({
                "text": "acme: a change waits for people\n\
                    ad set 42, daily_budget 30.50 EUR to 40.00 EUR\n\
                    Tool: meta_set_budget\n\
                    Asked by: ann@acme.example\n\
                    ads/large: more than 5 EUR a day\n\
                    kubectl mcp show 5c1f0a2be9d4 -n acme\n\
                    kubectl mcp approve 5c1f0a2be9d4 -n acme",
                "mrkdwn": false,
                "blocks": [
                    {"type": "header", "text": plain("acme: a change waits for people")},
                    section("ad set 42, daily_budget 30.50 EUR to 40.00 EUR"),
                    {"type": "section", "fields": [
                        plain("Tool\nmeta_set_budget"),
                        plain("Asked by\nann@acme.example"),
                    ]},
                    section("ads/large: more than 5 EUR a day"),
                    section("kubectl mcp show 5c1f0a2be9d4 -n acme\nkubectl mcp approve 5c1f0a2be9d4 -n acme"),
                ],
            })
        );
    }

    #[test]
    fn of_many_it_is_said_how_many() {
        let many = Notice {
            rules: (0..9).map(|number| format!("rule {number}")).collect(),
            more: 998,
            ..notice()
        };
        let body = many.body();
        assert!(
            body.contains("rule 4") && !body.contains("rule 5"),
            "{body}"
        );
        assert!(body.contains("and 4 more rules"), "{body}");
        assert!(body.contains("and 998 more since"), "{body}");
    }

    /// Every text that Slack is given, with the most characters that it takes.
    fn texts(body: &Value) -> Vec<(&Value, usize)> {
        let blocks = body["blocks"].as_array().unwrap();
        assert!(blocks.len() <= 50);
        let mut texts = vec![];
        for block in blocks {
            let most = if block["type"] == "header" {
                150
            } else {
                3_000
            };
            texts.extend(block.get("text").map(|text| (text, most)));
            let fields = block["fields"].as_array().into_iter().flatten();
            let fields: Vec<_> = fields.map(|field| (field, 2_000)).collect();
            assert!(fields.len() <= 10);
            texts.extend(fields);
        }
        texts
    }

    proptest! {
        // Each is as long as it gets.
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn whatever_is_told_slack_takes_it_and_takes_it_for_text(
            words in proptest::collection::vec("([<>&]|[a-z*_`@ ]|\u{202e}|https://){0,900}", 12),
            count in 0_usize..40,
        ) {
            let word = |at: usize| words[at % words.len()].clone();
            let hostile = Notice {
                summary: Some(word(0)),
                facts: (0..count).map(|at| ("Account", word(at))).collect(),
                rules: (0..count).map(word).collect(),
                commands: (0..2).map(|at| format!("kubectl mcp show {}", word(at))).collect(),
                more: 3,
                ..notice()
            };
            let body: Value = serde_json::from_str(&hostile.body()).unwrap();
            for (text, most) in texts(&body) {
                prop_assert_eq!(&text["type"], "plain_text");
                prop_assert_eq!(&text["emoji"], false);
                let told = text["text"].as_str().unwrap();
                prop_assert!((1..=most).contains(&told.chars().count()), "{}", told);
            }
            // Slack cuts a text at 40,000 characters.
            let all = body["text"].as_str().unwrap();
            prop_assert!(all.chars().count() < 40_000);
            prop_assert!(!all.contains(['<', '>', '*', '`']) && !all.contains("://"));
        }
    }
}
