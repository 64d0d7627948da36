//! The fields that a tool answers with: each must have been asked for, and
//! money must say its unit and its currency.

use std::collections::BTreeSet;

use serde_saphyr::Spanned;
use tenantry_core::money::MinorUnit;

use super::{Doubt, doubt, word};
use crate::form::{CurrencyForm, FieldForm, KindForm, OutputForm, SchemaForm, UnitForm};
use crate::plan::{CurrencyFrom, FieldKind, MoneyUnit, OutputField, OutputPlan};

/// What a tool offers to those of its amounts that take the account's currency.
#[derive(Clone, Copy)]
pub(super) struct MoneyRule {
    /// It asks about one account.
    pub account: bool,
    /// The connector confirms the currency with the vendor.
    pub confirm: bool,
}

pub(super) fn compile(
    form: &OutputForm,
    is_one: bool,
    requested: &[Spanned<String>],
    input: &SchemaForm,
    money: MoneyRule,
) -> Result<OutputPlan, Doubt> {
    let name = word(&form.name)?;
    if name == "next_cursor" {
        return doubt(&form.name, "the rows cannot be called `next_cursor`");
    }
    for field in &form.fields {
        comes_with(field, input)?;
    }
    let fields = fields(&form.fields, Some(requested), money, &form.name)?;
    Ok(OutputPlan {
        name,
        is_one,
        fields,
    })
}

/// The name of a field, if the request asks for it.
pub(super) fn requested_field(
    requested: &[Spanned<String>],
    field: &Spanned<String>,
) -> Result<String, Doubt> {
    if requested.iter().any(|other| other.value == field.value) {
        word(field)
    } else {
        doubt(
            field,
            format!("field `{}` is read, but not requested", field.value),
        )
    }
}

/// A field that comes with an argument must be one that the argument can name.
fn comes_with(field: &FieldForm, input: &SchemaForm) -> Result<(), Doubt> {
    let Some(argument) = &field.comes_with else {
        return Ok(());
    };
    let named = input
        .properties
        .as_ref()
        .and_then(|properties| properties.get(&argument.value)?.value.items.as_ref())
        .and_then(|items| items.value.words.as_ref());
    let from = &field.from.as_ref().unwrap_or(&field.name).value;
    if named.is_some_and(|words| words.contains(from)) && !field.always {
        return Ok(());
    }
    doubt(
        argument,
        format!(
            "field `{from}` does not come with `{}`: it is no list that can name it",
            argument.value
        ),
    )
}

/// Every field of a row that something in the output reads.
pub(super) fn fields_read(form: &OutputForm) -> BTreeSet<&str> {
    let own = form
        .fields
        .iter()
        .filter(|field| field.comes_with.is_none())
        .map(|field| field.from.as_ref().unwrap_or(&field.name).value.as_str());
    let currencies = form
        .fields
        .iter()
        .filter_map(|field| match &field.currency.as_ref()?.value {
            CurrencyForm::Row(name) => Some(name.as_str()),
            CurrencyForm::Account => None,
        });
    own.chain(currencies).collect()
}

/// Compiles the fields of one level. Only fields of the row itself are
/// requested by name; what lies inside them comes with them.
fn fields(
    forms: &[FieldForm],
    requested: Option<&[Spanned<String>]>,
    money: MoneyRule,
    place: &Spanned<String>,
) -> Result<Vec<OutputField>, Doubt> {
    if forms.is_empty() {
        return doubt(place, format!("`{}` has no fields", place.value));
    }
    let mut names = BTreeSet::new();
    let mut fields = Vec::new();
    for form in forms {
        if !names.insert(&form.name.value) {
            return doubt(
                &form.name,
                format!("output field `{}` stands twice", form.name.value),
            );
        }
        let from = form.from.as_ref().unwrap_or(&form.name);
        fields.push(OutputField {
            name: word(&form.name)?,
            from: match requested {
                Some(requested) if form.comes_with.is_none() => requested_field(requested, from)?,
                _ => word(from)?,
            },
            inner: form.inner.as_ref().map(word).transpose()?,
            description: form.description.clone(),
            always: form.always,
            absent_when: form.absent_when.clone(),
            kind: kind(form, requested, money)?,
        });
    }
    Ok(fields)
}

fn kind(
    form: &FieldForm,
    requested: Option<&[Spanned<String>]>,
    money: MoneyRule,
) -> Result<FieldKind, Doubt> {
    let name = &form.name.value;
    let is_money = form.kind.value == KindForm::Money;
    if is_money && form.unit.is_none() {
        return doubt(&form.name, format!("money `{name}` lacks a unit"));
    }
    if is_money && form.currency.is_none() {
        return doubt(&form.name, format!("money `{name}` lacks a currency"));
    }
    let stray = (!is_money && (form.unit.is_some() || form.currency.is_some()))
        || (form.kind.value != KindForm::Labels && form.labels.is_some())
        || (form.kind.value != KindForm::List && form.fields.is_some());
    if stray {
        return doubt(
            &form.name,
            format!("output field `{name}` has a slot that its kind ignores"),
        );
    }
    match (
        form.kind.value,
        form.unit,
        &form.currency,
        &form.labels,
        &form.fields,
    ) {
        (KindForm::Text, ..) => Ok(FieldKind::Text),
        (KindForm::Integer, ..) => Ok(FieldKind::Integer),
        (KindForm::Decimal, ..) => Ok(FieldKind::Decimal),
        (KindForm::Boolean, ..) => Ok(FieldKind::Boolean),
        (KindForm::Labels, .., Some(labels), _) => Ok(FieldKind::Labels(labels.clone())),
        (KindForm::List, .., Some(inner)) => {
            Ok(FieldKind::List(fields(inner, None, money, &form.name)?))
        }
        (KindForm::Money, Some(unit), Some(currency), ..) => Ok(FieldKind::Money {
            unit: self::unit(unit),
            currency: self::currency(currency, requested, money)?,
        }),
        _ => doubt(
            &form.name,
            format!("output field `{name}` lacks what its kind needs"),
        ),
    }
}

pub(super) fn unit(form: UnitForm) -> MoneyUnit {
    match form {
        UnitForm::MetaMinor => MoneyUnit::Minor(MinorUnit::Meta),
        UnitForm::Micros => MoneyUnit::Minor(MinorUnit::Micros),
        UnitForm::Major => MoneyUnit::Major,
    }
}

fn currency(
    form: &Spanned<CurrencyForm>,
    requested: Option<&[Spanned<String>]>,
    money: MoneyRule,
) -> Result<CurrencyFrom, Doubt> {
    match &form.value {
        CurrencyForm::Account if !money.account => doubt(
            form,
            "`currency: account` needs a tool that asks about one account",
        ),
        CurrencyForm::Account if !money.confirm => doubt(
            form,
            "`currency: account` needs `accounts.confirm`, or a wrong declaration would go unseen",
        ),
        CurrencyForm::Account => Ok(CurrencyFrom::Account),
        CurrencyForm::Row(field) => {
            let field = Spanned::new(field.clone(), form.referenced, form.defined);
            match requested {
                Some(requested) => requested_field(requested, &field).map(CurrencyFrom::Row),
                None => word(&field).map(CurrencyFrom::Row),
            }
        }
    }
}
