//! From a vendor's row to a tool's: allow-listed fields, each read exactly one
//! way. The schema stands beside the reading, so that they cannot part.

use serde_json::{Map, Value, json};
use tenantry_core::money::Money;
use tenantry_core::name::Currency;
use tenantry_core::text;

use crate::plan::{
    AccountPlan, CurrencyFrom, FieldKind, MoneyUnit, OutputField, OutputPlan, RowsPlan,
};

/// Meta's longest names have 400 characters.
const LONGEST_TEXT: usize = 500;

/// Of a list within a row; there are some 200 types of actions.
const MOST_ENTRIES: usize = 1_000;

/// The rows of a page.
pub(crate) fn rows<'b>(plan: &RowsPlan, body: &'b Value) -> Result<&'b [Value], String> {
    let found = plan.pointer.find(body).and_then(Value::as_array);
    found
        .map(Vec::as_slice)
        .ok_or_else(|| format!("no list at `{}`", plan.pointer))
}

/// Whose row it is, in our spelling of the account.
pub(crate) fn row_account(plan: &AccountPlan, row: &Value) -> Option<String> {
    let figure = row.get(&plan.field)?.as_str()?;
    Some(format!("{}{figure}", plan.prefix))
}

/// The allow-listed fields of one row.
pub(crate) fn project(
    fields: &[OutputField],
    row: &Value,
    account_currency: Option<&Currency>,
) -> Result<Map<String, Value>, String> {
    let mut projected = Map::new();
    for field in fields {
        let value = row
            .get(&field.from)
            .and_then(|value| match &field.inner {
                Some(inner) => value.get(inner),
                None => Some(value),
            })
            .filter(|value| !is_absent(field, value));
        match value {
            Some(value) => {
                let read = read(&field.kind, value, row, account_currency);
                let read =
                    read.ok_or_else(|| format!("field `{}` has an unexpected value", field.from))?;
                projected.insert(field.name.clone(), read);
            }
            None if field.always => return Err(format!("field `{}` is missing", field.from)),
            None => {}
        }
    }
    Ok(projected)
}

fn is_absent(field: &OutputField, value: &Value) -> bool {
    let says_none = field.absent_when.as_deref();
    value.is_null() || (says_none.is_some() && plain(value).as_deref() == says_none)
}

fn read(
    kind: &FieldKind,
    value: &Value,
    row: &Value,
    account_currency: Option<&Currency>,
) -> Option<Value> {
    match kind {
        FieldKind::Text => value
            .as_str()
            .map(|text| text::presentable(text, LONGEST_TEXT).into()),
        FieldKind::Boolean => value.as_bool().map(Value::from),
        FieldKind::Integer => integer(value).map(Value::from),
        FieldKind::Decimal => plain(value)
            .filter(|text| is_decimal(text))
            .map(Value::from),
        FieldKind::Labels(labels) => {
            let code = integer(value)?;
            let unknown = || format!("unknown_{code}");
            Some(Value::from(
                labels.get(&code).cloned().unwrap_or_else(unknown),
            ))
        }
        FieldKind::Money { unit, currency } => {
            let currency = match currency {
                CurrencyFrom::Account => account_currency?.clone(),
                CurrencyFrom::Row(field) => Currency::parse(row.get(field)?.as_str()?).ok()?,
            };
            serde_json::to_value(money(*unit, value, currency)?).ok()
        }
        FieldKind::List(fields) => {
            let entries = value
                .as_array()
                .filter(|list| list.len() <= MOST_ENTRIES)?
                .iter();
            let entries: Result<Vec<Value>, String> = entries
                .map(|entry| project(fields, entry, account_currency).map(Value::from))
                .collect();
            entries.ok().map(Value::from)
        }
    }
}

pub(crate) fn money(unit: MoneyUnit, value: &Value, currency: Currency) -> Option<Money> {
    match unit {
        MoneyUnit::Minor(unit) => Money::from_minor(integer(value)?, unit, currency).ok(),
        MoneyUnit::Major => Money::from_major(&plain(value)?, currency).ok(),
    }
}

/// A whole number, as JSON number or as digits in a text; never by way of a float.
fn integer(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

/// The characters of a text or of a whole number.
fn plain(value: &Value) -> Option<String> {
    value
        .as_str()
        .map(str::to_owned)
        .or_else(|| value.as_i64().map(|number| number.to_string()))
}

fn is_decimal(text: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|one| one.is_ascii_digit());
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    unsigned.split_once('.').map_or_else(
        || digits(unsigned),
        |(whole, rest)| digits(whole) && digits(rest),
    )
}

/// The schema of what a tool answers.
pub(crate) fn data_schema(plan: &OutputPlan) -> Map<String, Value> {
    let row = object_schema(&plan.fields);
    if plan.is_one {
        return whole(&plan.name, json!({plan.name.as_str(): row}));
    }
    let list = json!({"type": "array", "items": row});
    let cursor = json!({
        "type": "string",
        "description": "give this as `after` for the next part; absent at the end",
    });
    let properties = json!({plan.name.as_str(): list, "next_cursor": cursor});
    whole(&plan.name, properties)
}

fn whole(required: &str, properties: Value) -> Map<String, Value> {
    Map::from_iter([
        ("type".to_owned(), json!("object")),
        ("additionalProperties".to_owned(), json!(false)),
        ("required".to_owned(), json!([required])),
        ("properties".to_owned(), properties),
    ])
}

fn object_schema(fields: &[OutputField]) -> Value {
    let required: Vec<&str> = fields
        .iter()
        .filter(|field| field.always)
        .map(|field| field.name.as_str())
        .collect();
    let properties: Map<String, Value> = fields
        .iter()
        .map(|field| (field.name.clone(), field_schema(field)))
        .collect();
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": required,
        "properties": properties,
    })
}

fn field_schema(field: &OutputField) -> Value {
    let mut schema = match &field.kind {
        // Enumerations stay open: vendors add words without a new version.
        FieldKind::Text | FieldKind::Labels(_) => json!({"type": "string"}),
        FieldKind::Boolean => json!({"type": "boolean"}),
        FieldKind::Integer => json!({"type": "integer"}),
        FieldKind::Decimal => json!({"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?$"}),
        FieldKind::Money { .. } => json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["amount", "currency"],
            "properties": {
                "amount": {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]{1,6})?$"},
                "currency": {"type": "string", "pattern": "^[A-Z]{3}$"},
            },
        }),
        FieldKind::List(fields) => json!({"type": "array", "items": object_schema(fields)}),
    };
    if let (Some(schema), Some(description)) = (schema.as_object_mut(), &field.description) {
        schema.insert("description".to_owned(), json!(description));
    }
    schema
}

#[cfg(test)]
mod tests {
    use tenantry_core::money::MinorUnit;

    use super::*;

    fn field(name: &str, kind: FieldKind) -> OutputField {
        OutputField {
            name: name.into(),
            from: name.into(),
            inner: None,
            description: None,
            always: false,
            absent_when: Some("0".into()),
            kind,
        }
    }

    fn currency(code: &str) -> Currency {
        Currency::parse(code).unwrap()
    }

    #[test]
    fn only_allow_listed_fields_come_through() {
        let row = json!({"name": "Spring", "secret": "x"});
        let projected = project(&[field("name", FieldKind::Text)], &row, None);
        assert_eq!(Value::from(projected.unwrap()), json!({"name": "Spring"}));
    }

    #[test]
    fn minor_units_become_amounts_of_the_accounts_currency() {
        let kind = FieldKind::Money {
            unit: MoneyUnit::Minor(MinorUnit::Meta),
            currency: CurrencyFrom::Account,
        };
        let fields = [field("budget", kind)];
        let row = json!({"budget": "5000"});
        let of = |code: &str| Value::from(project(&fields, &row, Some(&currency(code))).unwrap());
        assert_eq!(
            of("EUR"),
            json!({"budget": {"amount": "50.00", "currency": "EUR"}})
        );
        assert_eq!(
            of("TWD"),
            json!({"budget": {"amount": "5000.00", "currency": "TWD"}})
        );
        assert!(
            project(&fields, &row, None).is_err(),
            "no currency, no amount"
        );
        assert_eq!(
            project(&fields, &json!({"budget": "0"}), None),
            Ok(Map::new())
        );
    }

    #[test]
    fn major_units_take_the_currency_of_their_row() {
        let kind = FieldKind::Money {
            unit: MoneyUnit::Major,
            currency: CurrencyFrom::Row("c".into()),
        };
        let fields = [field("spend", kind)];
        let read = |row: Value| project(&fields, &row, None).map(Value::from);
        assert_eq!(
            read(json!({"spend": "12.34", "c": "EUR"})),
            Ok(json!({"spend": {"amount": "12.34", "currency": "EUR"}}))
        );
        for odd in [
            json!({"spend": 12.34, "c": "EUR"}),
            json!({"spend": "12.34"}),
            json!({"spend": "1e3", "c": "EUR"}),
        ] {
            assert!(read(odd.clone()).is_err(), "{odd}");
        }
    }

    #[test]
    fn unknown_labels_stay_open_words() {
        let labels = std::collections::BTreeMap::from([(1, "active".to_owned())]);
        let fields = [field("status", FieldKind::Labels(labels))];
        let read =
            |code: i64| Value::from(project(&fields, &json!({"status": code}), None).unwrap());
        assert_eq!(read(1), json!({"status": "active"}));
        assert_eq!(read(77), json!({"status": "unknown_77"}));
    }

    #[test]
    fn a_missing_field_that_is_always_there_is_an_error() {
        let always = OutputField {
            always: true,
            ..field("id", FieldKind::Text)
        };
        assert_eq!(
            project(&[always], &json!({}), None),
            Err("field `id` is missing".into())
        );
    }
}
