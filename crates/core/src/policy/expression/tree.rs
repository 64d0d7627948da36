//! An expression once its names and types are checked, and what it comes to.

use super::known::{Amount, Count, Flag, Known, Text as TextField};

/// Why an expression comes to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Doubt {
    /// An amount in a currency that nobody can convert.
    #[error("an amount cannot be converted into the policy's currency")]
    Unconverted,
    /// A number beyond the range.
    #[error("a number is too large")]
    Overflow,
    /// There is nothing to divide by.
    #[error("a number is divided by zero")]
    DivisionByZero,
}

/// What is true or false.
#[derive(Clone)]
pub(super) enum Condition {
    Is(bool),
    Flag(Flag),
    Not(Box<Condition>),
    And(Box<[Condition; 2]>),
    Or(Box<[Condition; 2]>),
    Same(Box<[Condition; 2]>),
    Compare(Order, Number, Number),
    NumberIn(Number, Vec<Number>),
    TextIn(Text, Vec<Text>),
    Contains(Part, Text, Text),
    If(Box<[Condition; 3]>),
}

/// A whole number.
#[derive(Clone)]
pub(super) enum Number {
    Is(i64),
    Amount(Amount),
    Count(Count),
    Apply(Operator, Box<[Number; 2]>),
    If(Box<(Condition, Number, Number)>),
}

/// A text.
#[derive(Clone)]
pub(super) enum Text {
    Is(String),
    Field(TextField),
    If(Box<(Condition, Text, Text)>),
}

/// How two numbers compare.
#[derive(Clone, Copy)]
pub(super) enum Order {
    Equal,
    Less,
    Greater,
}

/// Where one text is in another.
#[derive(Clone, Copy)]
pub(super) enum Part {
    Start,
    End,
    Any,
}

/// What makes one number of two.
#[derive(Clone, Copy)]
pub(super) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

impl Condition {
    pub(super) fn holds(&self, change: &Known<'_>) -> Result<bool, Doubt> {
        Ok(match self {
            Self::Is(value) => *value,
            Self::Flag(flag) => change.flag(*flag),
            Self::Not(one) => !one.holds(change)?,
            Self::And(both) => return decided_by(false, both, change),
            Self::Or(both) => return decided_by(true, both, change),
            Self::Same(both) => {
                let [one, other] = both.as_ref();
                one.holds(change)? == other.holds(change)?
            }
            Self::Compare(order, one, other) => {
                let (one, other) = (one.value(change)?, other.value(change)?);
                match order {
                    Order::Equal => one == other,
                    Order::Less => one < other,
                    Order::Greater => one > other,
                }
            }
            Self::NumberIn(one, all) => {
                let one = one.value(change)?;
                let all: Result<Vec<_>, _> = all.iter().map(|it| it.value(change)).collect();
                all?.contains(&one)
            }
            Self::TextIn(one, all) => {
                let one = one.value(change)?;
                let all: Result<Vec<_>, _> = all.iter().map(|it| it.value(change)).collect();
                all?.contains(&one)
            }
            Self::Contains(part, one, other) => {
                let (one, other) = (one.value(change)?, other.value(change)?);
                match part {
                    Part::Start => one.starts_with(other),
                    Part::End => one.ends_with(other),
                    Part::Any => one.contains(other),
                }
            }
            Self::If(all) => {
                let [condition, one, other] = all.as_ref();
                let taken = if condition.holds(change)? { one } else { other };
                return taken.holds(change);
            }
        })
    }
}

/// As CEL has it: one side that decides makes the other not matter, even one
/// that comes to nothing.
fn decided_by(deciding: bool, both: &[Condition; 2], change: &Known<'_>) -> Result<bool, Doubt> {
    let [one, other] = both;
    let one = one.holds(change);
    if one == Ok(deciding) {
        return one;
    }
    match other.holds(change)? {
        other if other == deciding => Ok(deciding),
        _ => one,
    }
}

impl Number {
    fn value(&self, change: &Known<'_>) -> Result<i64, Doubt> {
        match self {
            Self::Is(value) => Ok(*value),
            Self::Amount(amount) => change.amount(*amount).ok_or(Doubt::Unconverted),
            Self::Count(count) => Ok(change.count(*count)),
            Self::Apply(operator, both) => {
                let [one, other] = both.as_ref();
                operator.apply(one.value(change)?, other.value(change)?)
            }
            Self::If(all) => {
                let (condition, one, other) = all.as_ref();
                let taken = if condition.holds(change)? { one } else { other };
                taken.value(change)
            }
        }
    }
}

impl Text {
    fn value<'t>(&'t self, change: &'t Known<'_>) -> Result<&'t str, Doubt> {
        match self {
            Self::Is(value) => Ok(value),
            Self::Field(field) => Ok(change.text(*field)),
            Self::If(all) => {
                let (condition, one, other) = all.as_ref();
                let taken = if condition.holds(change)? { one } else { other };
                taken.value(change)
            }
        }
    }
}

impl Operator {
    pub(super) fn apply(self, one: i64, other: i64) -> Result<i64, Doubt> {
        let value = match self {
            Self::Add => one.checked_add(other),
            Self::Subtract => one.checked_sub(other),
            Self::Multiply => one.checked_mul(other),
            Self::Divide | Self::Remainder if other == 0 => return Err(Doubt::DivisionByZero),
            Self::Divide => one.checked_div(other),
            Self::Remainder => one.checked_rem(other),
        };
        value.ok_or(Doubt::Overflow)
    }
}
