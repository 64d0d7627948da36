//! What a key still opens while the documents are wrong somewhere: never more
//! than it did, nor more than the new text says.

use tenantry_core::key::{KeyRecord, Scope};

use super::documents::Refused;

/// Narrows `key` to what the refused documents leave it.
pub(super) fn narrow(key: &mut KeyRecord, refused: &Refused) {
    let named = || refused.keys.iter().filter(|(id, _)| *id == key.id);
    // One that is not named was taken away, unless it may be in what cannot be read.
    let is_gone = refused.is_whole && named().next().is_none();
    let is_unreadable = named().any(|(_, said)| said.is_none());
    key.disabled |= is_gone || is_unreadable;
    for said in refused.keys.iter().filter_map(|(_, said)| said.as_ref()) {
        if said.digest == key.digest {
            // Whoever holds that text would come in by the other key.
            close(key, said);
        }
        if said.id == key.id {
            key.disabled |= said.digest != key.digest;
            close(key, said);
            key.scopes = common(&key.scopes, &said.scopes);
            key.not_before = key.not_before.max(said.not_before);
            restrict(key, said);
        }
    }
}

fn close(key: &mut KeyRecord, said: &KeyRecord) {
    key.disabled |= said.disabled;
    let ends = [key.expires_at, said.expires_at];
    key.expires_at = ends.into_iter().flatten().min();
}

fn restrict(key: &mut KeyRecord, said: &KeyRecord) {
    let Some(accounts) = &said.accounts else {
        return;
    };
    match &mut key.accounts {
        Some(present) => present.retain(|account| accounts.contains(account)),
        None => key.accounts = Some(accounts.clone()),
    }
}

/// The scopes of either that are within both.
fn common(before: &[Scope], said: &[Scope]) -> Vec<Scope> {
    let mut all: Vec<_> = before.iter().chain(said).collect();
    all.sort();
    all.dedup();
    let is_within = |scope: &&Scope| covers(before, scope) && covers(said, scope);
    all.into_iter().filter(is_within).cloned().collect()
}

fn covers(scopes: &[Scope], one: &Scope) -> bool {
    let text = one.to_string();
    let class = text.split_once(':').map_or("", |(_, class)| class);
    let widest = Scope::parse(&format!("*:{class}")).ok();
    scopes.contains(one) || widest.is_some_and(|widest| scopes.contains(&widest))
}
