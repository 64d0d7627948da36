//! How a change is asked for: under which key, and whether in earnest. Taken
//! out of the arguments, which say what shall be.

use serde_json::{Map, Value};
use tenantry_connectors::connector::Tool;
use tenantry_core::digest::Digest;
use tenantry_core::idempotency::{DRY_RUN_ARGUMENT, IdempotencyKey, KEY_ARGUMENT, fingerprint};
use tenantry_core::reason::{Reason, Refusal};

/// How a change is asked for.
#[derive(Debug, Clone)]
pub struct Wish {
    /// The key of the change; what only stops may come without.
    pub key: Option<IdempotencyKey>,
    /// Whether it is only asked what the change would do.
    pub is_dry_run: bool,
    /// What stands for tool and arguments.
    pub fingerprint: Digest,
}

impl Wish {
    /// Takes it out of arguments that match the schema of `tool`.
    pub fn take(arguments: &mut Map<String, Value>, tool: &Tool) -> Result<Self, Refusal> {
        let key = arguments.remove(KEY_ARGUMENT);
        let is_dry_run = arguments.remove(DRY_RUN_ARGUMENT) == Some(Value::Bool(true));
        let key = match key.as_ref().and_then(Value::as_str) {
            Some(text) => Some(IdempotencyKey::parse(text).map_err(|error| {
                Refusal::new(Reason::ArgumentsInvalid, error.to_string())
                    .with_remedy("make a new idempotency_key for each change, such as a UUID")
            })?),
            None if is_dry_run || tool.only_stops() => None,
            None => {
                let message =
                    format!("`{KEY_ARGUMENT}` is missing; it makes a repeated call one change");
                return Err(Refusal::new(Reason::ArgumentsInvalid, message).with_remedy(
                    "give an idempotency_key, such as a UUID, or ask first with dry_run: true",
                ));
            }
        };
        Ok(Self {
            key,
            is_dry_run,
            fingerprint: fingerprint(&tool.name, arguments),
        })
    }
}
