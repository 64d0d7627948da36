//! Tokens: who holds a good one, whether the app's secret goes with it, and
//! what Meta says about one.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use ring::hmac;
use serde_json::{Value, json};

use super::asked::Asked;
use super::faults::Faults;
use super::wire::GraphError;
use super::world::{EXPIRED_TOKEN, REVOKED_TOKEN, World};

/// The accounts that the token of a request sees.
pub(super) fn authenticate(
    world: &World,
    faults: &Faults,
    asked: &Asked,
) -> Result<BTreeSet<String>, GraphError> {
    let message =
        "An active access token must be used to query information about the current user.";
    let token = asked
        .token
        .as_deref()
        .ok_or_else(|| GraphError::new(2500, None, message))?;
    known(world, token)?;
    if let Some(secret) = &faults.app_secret {
        prove(secret, token, asked.parameter("appsecret_proof"))?;
    }
    let holder = world.holder(token);
    Ok(holder
        .map(|holder| holder.accounts.clone())
        .unwrap_or_default())
}

/// Lets a token through that has the permission to write.
pub(super) fn permit_writing(world: &World, asked: &Asked) -> Result<(), GraphError> {
    let token = asked.token.as_deref().unwrap_or_default();
    match world.holder(token) {
        Some(holder) if !holder.is_read_only => Ok(()),
        _ => Err(GraphError::no_permission()),
    }
}

fn known(world: &World, token: &str) -> Result<(), GraphError> {
    match token {
        EXPIRED_TOKEN => Err(GraphError::expired()),
        REVOKED_TOKEN => Err(GraphError::revoked()),
        token if world.holder(token).is_some() => Ok(()),
        _ => Err(GraphError::invalid_token()),
    }
}

/// An app can demand that calls prove its secret.
fn prove(secret: &str, token: &str, proof: Option<&str>) -> Result<(), GraphError> {
    let wrong = |message: &str| Err(GraphError::new(100, None, message));
    let Some(proof) = proof else {
        return wrong("API calls from the server require an appsecret_proof argument");
    };
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, token.as_bytes());
    let right = tag.as_ref().iter().fold(String::new(), |mut right, byte| {
        // Writing into a String does not fail.
        let _ = write!(right, "{byte:02x}");
        right
    });
    if proof == right {
        Ok(())
    } else {
        wrong("Invalid appsecret_proof provided in the API argument")
    }
}

/// What Meta says of the token in `input_token`.
pub(super) fn inspect(world: &World, faults: &Faults, asked: &Asked) -> Result<Value, GraphError> {
    let Some(token) = &asked.input_token else {
        return Err(GraphError::new(
            100,
            None,
            "(#100) The parameter input_token is required",
        ));
    };
    let mut facts = json!({
        "app_id": "4711",
        "type": "SYSTEM_USER",
        "application": "Acme Ads",
        "is_valid": known(world, token).is_ok(),
        "expires_at": faults.token_expires_at,
        "data_access_expires_at": 0,
        "scopes": scopes(world, token),
    });
    if let (Err(error), Some(fields)) = (known(world, token), facts.as_object_mut()) {
        let error = json!({"code": error.code, "subcode": error.subcode, "message": error.message});
        fields.insert("error".into(), error);
    }
    Ok(json!({"data": facts}))
}

fn scopes(world: &World, token: &str) -> &'static [&'static str] {
    match world.holder(token) {
        Some(holder) if !holder.is_read_only => {
            &["ads_management", "ads_read", "business_management"]
        }
        _ => &["ads_read", "business_management"],
    }
}
