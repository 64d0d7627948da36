//! What an expression means is what CEL means by it: every one is held against
//! the crate `cel`, which others evaluate theirs with.

use std::collections::HashMap;
use std::sync::Arc;

use cel::{Context, Program, Value};
use proptest::prelude::*;

use super::super::known::{FIELDS, Field};
use super::{Known, Proposal, TRUE, holds, proposal};

/// Its parser needs some 100 KiB for each bracket.
const STACK_BYTES: usize = 64 << 20;

fn with_stack(test: impl FnOnce() + Send + 'static) {
    let builder = std::thread::Builder::new().stack_size(STACK_BYTES);
    let thread = builder.spawn(test).unwrap();
    if let Err(cause) = thread.join() {
        std::panic::resume_unwind(cause);
    }
}

/// What `cel` makes of it; none if it comes to nothing.
fn by_cel(source: &str, proposal: &Proposal) -> Option<bool> {
    let program = Program::compile(source).unwrap_or_else(|error| panic!("{source}: {error}"));
    let mut context = Context::empty();
    context.add_function("amount", |text: Arc<String>| {
        crate::money::micros(&text).unwrap()
    });
    context.add_function("startsWith", cel::functions::starts_with);
    context.add_function("endsWith", cel::functions::ends_with);
    context.add_function("contains", cel::functions::contains);
    let change = fields("change.", proposal);
    context.add_variable_from_value("change", change);
    context.add_variable_from_value("key", "bot");
    match program.execute(&context) {
        Ok(Value::Bool(value)) => Some(value),
        _ => None,
    }
}

/// All fields below `prefix`, in maps as deep as their names.
fn fields(prefix: &str, proposal: &Proposal) -> HashMap<String, Value> {
    let known = Known {
        proposal,
        worth: &|micros| Some(micros.into()),
    };
    let mut all = HashMap::new();
    for (name, field) in FIELDS {
        let Some(rest) = name.strip_prefix(prefix) else {
            continue;
        };
        if let Some((below, _)) = rest.split_once('.') {
            let below_prefix = format!("{prefix}{below}.");
            all.insert(below.to_owned(), fields(&below_prefix, proposal).into());
            continue;
        }
        let value: Value = match *field {
            Field::Amount(amount) => known.amount(amount).unwrap().into(),
            Field::Count(count) => known.count(count).into(),
            Field::Flag(flag) => known.flag(flag).into(),
            Field::Text(text) => known.text(text).into(),
        };
        all.insert(rest.to_owned(), value);
    }
    all
}

fn check(source: &str, proposal: &Proposal) {
    let ours = holds(source, proposal).ok();
    assert_eq!(ours, by_cel(source, proposal), "{source}");
}

#[test]
fn what_holds_here_holds_there() {
    with_stack(|| {
        let proposal = proposal("c:100[a]", "set c 150");
        for source in TRUE.trim().lines() {
            check(source, &proposal);
        }
    });
}

fn number() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "0",
        "1",
        "-7",
        "3",
        "50",
        "9223372036854775807",
        "change.percent",
        "change.daily.increase",
        "change.lifetime.decrease",
        "amount(\"0.00005\")",
        "change.created",
    ]);
    leaf.prop_map(str::to_owned)
        .prop_recursive(3, 12, 2, |inner| {
            let sign = prop::sample::select(vec!["+", "-", "*", "/", "%"]);
            (inner.clone(), sign, inner, any::<bool>()).prop_map(|(one, sign, other, is_bare)| {
                if is_bare {
                    format!("{one} {sign} {other}")
                } else {
                    format!("({one} {sign} {other})")
                }
            })
        })
}

fn text() -> impl Strategy<Value = String> {
    let texts = [
        "\"\"",
        "'bot'",
        "key",
        "change.tool",
        "change.account",
        "\"meta_\"",
    ];
    prop::sample::select(texts.to_vec()).prop_map(str::to_owned)
}

fn condition() -> impl Strategy<Value = String> {
    let order = prop::sample::select(vec!["<", "<=", ">", ">=", "==", "!="]);
    let compared = (number(), order, number()).prop_map(|(a, sign, b)| format!("{a} {sign} {b}"));
    let call = prop::sample::select(vec!["startsWith", "endsWith", "contains"]);
    let called = (text(), call, text()).prop_map(|(a, call, b)| format!("{a}.{call}({b})"));
    let member = (text(), text(), text()).prop_map(|(a, b, c)| format!("{a} in [{b}, {c}]"));
    let listed = (number(), number()).prop_map(|(a, b)| format!("{a} in [1, {b}]"));
    let same = (text(), text()).prop_map(|(a, b)| format!("{a} == {b}"));
    let flag = Just("change.has_percent".to_owned());
    let leaf =
        prop_oneof![3 => compared, 1 => called, 1 => member, 1 => listed, 1 => same, 1 => flag];
    leaf.prop_recursive(3, 16, 3, |inner| {
        let both = (
            inner.clone(),
            prop::sample::select(vec!["&&", "||"]),
            inner.clone(),
        );
        let choice = (inner.clone(), inner.clone(), inner.clone());
        prop_oneof![
            both.clone()
                .prop_map(|(a, sign, b)| format!("{a} {sign} {b}")),
            both.prop_map(|(a, sign, b)| format!("({a}) {sign} ({b})")),
            inner.prop_map(|a| format!("!({a})")),
            choice.prop_map(|(a, b, c)| format!("({a}) ? ({b}) : {c}")),
        ]
    })
}

#[test]
fn whatever_is_written_means_the_same_there() {
    with_stack(|| {
        let changes = ["set c 150", "set c 40", "create c n~", "deactivate c"];
        let change = prop::sample::select(changes.to_vec());
        let mut runner = prop::test_runner::TestRunner::default();
        let result = runner.run(&(condition(), change), |(source, change)| {
            if source.len() <= super::LONGEST {
                check(&source, &proposal("c:100[a]", change));
            }
            Ok(())
        });
        result.unwrap();
    });
}
