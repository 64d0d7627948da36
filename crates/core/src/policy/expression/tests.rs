//! Expressions: what they mean, what they refuse, and what they cost.

mod same_as_cel;

use proptest::prelude::*;

use super::*;
use crate::policy::facts::Proposal;
use crate::policy::tests::{moment, read, words};
use crate::spend_root::sketch;

/// A change in the words of the tables, by someone.
fn proposal(on: &str, change: &str) -> Proposal {
    let root = sketch::root(on, moment::NOW);
    let (effect, object) = words::effect(&root, change).unwrap();
    let mut subject = read::someone();
    subject.path = object.into_iter().collect();
    Proposal {
        subject,
        effect,
        undoes: None,
        batch: None,
    }
}

fn holds(source: &str, proposal: &Proposal) -> Result<bool, Doubt> {
    let expression = Expression::parse(source).unwrap_or_else(|error| panic!("{source}: {error}"));
    expression.holds(&Known {
        proposal,
        worth: &|micros| Some(micros.into()),
    })
}

/// What is true of 100 a day that become 150.
const TRUE: &str = r#"
true
!false
true || false
true != false
change.daily.increase == amount("50")
change.daily.increase == 50000000
change.daily.increase > amount("49.999999") && change.daily.increase < amount("50.000001")
change.daily.increase >= amount("50") && change.daily.increase <= amount("50")
change.daily.decrease == 0 && change.lifetime.increase == 0 && change.lifetime.decrease == 0
change.financial.increase == 0 && change.financial.decrease == 0 && change.financial.after == 0
change.bid.before == 0 && change.bid.after == 0 && !change.bid.has_before && !change.bid.has_after
change.exposure == amount("50")
change.percent == 50 && change.has_percent
change.created == 0 && change.records == 0
!change.becomes_endless && !change.creates_running
change.tool == "meta_set_budget"
change.tool in ["other", "meta_set_budget"]
!(change.tool in [])
change.tool.startsWith("meta_") && change.tool.endsWith("budget") && change.tool.contains("set")
change.class == "spend" && change.class in ["spend", "destructive"]
change.primitive == "set_budget" && change.primitive != "delete"
change.connector == "meta" && change.account == "act_1" && change.object == "c"
change.currency == "EUR" && change.state == ""
key == "bot"
change.percent in [49, 25 * 2]
(change.percent > 10 ? change.tool : key) == "meta_set_budget"
(change.percent > 10 ? 1 : 2) == 1
change.percent > 10 ? true : false
-change.percent == -50
7 / 2 == 3 && 7 % 2 == 1 && 7 - 2 * 3 + 1 == 2
false && 1 / 0 == 1 || true
1 / 0 == 1 || true
!(1 / 0 == 1 && false)
'single' == "single" && "it's" == 'it\'s' && "\\" == '\\'
-9223372036854775808 < -9223372036854775807
3 - -1 == 4
!(!true)
-(-1) == 1
true // a remark
1 in [1, 2,]
"abc".startsWith("ab") && (key).contains("o")
true || false && false
2 + 3 * 4 - 5 % 3 == 12
1 < 2 == true
007 == 7
"#;

#[test]
fn a_rule_reads_every_field_of_a_change() {
    let proposal = proposal("c:100[a]", "set c 150");
    for source in TRUE.trim().lines() {
        assert_eq!(holds(source, &proposal), Ok(true), "{source}");
        let negated = format!("!({source}\n)");
        assert_eq!(holds(&negated, &proposal), Ok(false), "{negated}");
    }
}

/// The spend root, the change, and what is true of it.
const FOLLOWED: &str = "
c:100[a]   | set c 40       | change.daily.decrease == amount('60')
c:100[a]   | set c 40       | change.percent == 0 && change.has_percent
c:0[a]     | set c 40       | change.percent == 0 && !change.has_percent
c:100~[a]  | activate c     | change.percent == 0 && !change.has_percent
c:100~[a]  | activate c     | change.primitive == 'activate'
c:9/0@9[a] | set c 19/0     | change.lifetime.increase == amount('10')
c:9/0@9[a] | set c 4/0      | change.lifetime.decrease == amount('5')
c:9@9[a]   | end c never    | change.becomes_endless
c:9[a[x]]  | create a y     | change.created == 1 && change.creates_running
c:9[a[x]]  | create a y~    | change.created == 1 && !change.creates_running
c          | bid c 1 2.5    | change.bid.before == amount('1') && change.bid.after == amount('2.5')
c          | bid c 1 none   | change.bid.has_before && !change.bid.has_after
c          | records 3      | change.records == 3 && change.currency == ''
c          | amount d 9 5   | change.financial.decrease == amount('4')
c          | amount d 5 9   | change.financial.increase == amount('4')
c          | amount d 5 9   | change.financial.after == amount('9') && change.object == 'd'
c          | state d won    | change.state == 'won'
";

#[test]
fn each_field_follows_its_change() {
    for line in FOLLOWED.trim().lines() {
        let cells: Vec<_> = line.splitn(3, '|').map(str::trim).collect();
        let proposal = proposal(cells[0], cells[1]);
        assert_eq!(holds(cells[2], &proposal), Ok(true), "{line}");
    }
}

/// What is no expression, and why.
const REFUSED: &str = r#"
change.daily                      => 1: `change.daily` is not known; there are `change.daily.increase`, `change.daily.decrease`
change.daly.increase > 1          => 1: `change.daly.increase` is not known; there are `change.tool`, `change.class`,
true && change.daily.up > 1       => 9: `change.daily.up` is not known; there are `change.daily.increase`, `change.daily.decrease`
user == "x"                       => 1: `user` is not known; there are `change.tool`, `change.class`,
key.name == "x"                   => 1: `key.name` is not known; there are `change.tool`,
change.class == "spendd"          => 1: `change.class` is never `spendd`; it is one of `read`, `write`, `spend`, `financial`, `destructive`
change.primitive in ["pause"]     => 1: `change.primitive` is never `pause`; it is one of `set_budget`,
"Delete" == change.primitive      => 1: `change.primitive` is never `Delete`; it is one of `set_budget`,
change.tool > 5                   => 1: `>` needs a number, and `change.tool` is a text
change.percent > "5"              => 18: `>` needs a number, and `"5"` is a text
change.percent && true            => 1: `&&` needs true or false, and `change.percent` is a number
!change.percent                   => 2: `!` needs true or false, and `change.percent` is a number
-change.tool == 1                 => 2: `-` needs a number, and `change.tool` is a text
change.percent                    => 1: the expression needs true or false, and `change.percent` is a number
(change.percent  + 1)             => 1: the expression needs true or false, and `(change.percent  + 1)` is a number
"x"                               => 1: the expression needs true or false, and `"x"` is a text
change.tool == 5                  => 16: `==` needs a text, and `5` is a number
change.has_percent == 1           => 23: `==` needs true or false, and `1` is a number
change.tool + "x" == "y"          => 1: `+` needs a number, and `change.tool` is a text
change.tool in ["a", 1]           => 22: `in` needs a text, and `1` is a number
true in [true]                    => 1: `in` needs a text or a number, and `true` is true or false
change.tool in change.class       => 16: to the right of `in` stands a list, such as ["a", "b"]
true ? 1 : "x"                    => 12: `:` needs a number, and `"x"` is a text
--1 == 1                          => 2: a row of signs is written with brackets
!!true                            => 2: a row of signs is written with brackets
1 < 2 < 3                         => 1: `<` needs a number, and `1 < 2` is true or false
change.tool.matches("(a+)+")      => 13: `matches` is not known; there are `amount`, `startsWith`,
change.tool.size() > 1            => 13: `size` is not known; there are `amount`,
size(change.tool) > 1             => 1: `size` is not known; there are `amount`,
int("1") == 1                     => 1: `int` is not known; there are `amount`,
timestamp("x") > 1                => 1: `timestamp` is not known; there are `amount`,
change.startsWith("x")            => 1: `change` is not known; there are `change.tool`,
change.daily.increase > 1.5       => 25: there are whole numbers only; an amount is written as amount("0.50")
change.percent > 5u               => 18: `5u` was not expected here
change.percent > 0x10             => 18: `0x10` was not expected here
change.tool == null               => 16: there is no null; every field always has a value
b"x" == b"x"                      => 1: `b` is not known
r"x" == "x"                       => 1: `r` is not known
"""x""" == "x"                    => 3: `"x"` was not expected here
"a\n" == "x"                      => 1: in texts, a backslash stands only before a quote or a backslash
"a == "                           => 1: the expression needs true or false
'a                                => 1: the text does not end
has(change.tool)                  => 1: `has` is not known; there are `amount`,
key.all(x, x > 0)                 => 5: `all` is not known; there are `amount`,
[1].exists(x, x == 1)             => 1: a list stands only to the right of `in`
[1] == [1]                        => 1: a list stands only to the right of `in`
{"a": 1}.a == 1                   => 1: `{` was not expected here
change["tool"] == "x"             => 1: `change` is not known
change.tool["x"] == "x"           => 12: `[` was not expected here
"a".b == "x"                      => 5: `b` is not known
"a".1 == "x"                      => 5: `1` was not expected here
amount(change.tool) == 1          => 8: `amount` is of a text in quotes, such as amount("0.50")
amount("1e3") == 1                => 1: amount `1e3` is not a plain decimal
amount("-1") == 1                 => 1: amount `-1` is not a plain decimal
amount("99999999999999") == 1     => 1: amount `99999999999999` is out of range
change.daily.increase >           => 24: more was expected here
change. > 1                       => 1: `change` is not known
(true                             => 6: more was expected here
true)                             => 5: `)` was not expected here
true true                         => 6: `true` was not expected here
true & true                       => 6: `&` was not expected here
true; true                        => 5: `;` was not expected here
é == "x"                          => 1: `é` was not expected here
99999999999999999999 == 1         => 1: the number is too large
9223372036854775808 == 1          => 1: the number is too large
"#;

#[test]
fn what_the_language_does_not_have_is_refused_by_its_place() {
    let mut wrong = Vec::new();
    for line in REFUSED.trim().lines() {
        let (source, expected) = line.split_once(" => ").unwrap();
        let expected = format!("line 1, column {expected}");
        match Expression::parse(source.trim()) {
            Ok(_) => wrong.push(format!("{source}: accepted")),
            Err(error) if error.to_string().starts_with(&expected) => {}
            Err(error) => wrong.push(format!("{source}: {error}")),
        }
    }
    assert!(Expression::parse("").is_err());
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn the_size_of_an_expression_has_a_limit() {
    let of = |source: &str| Expression::parse(source).map(drop);
    let padded = |length: usize| format!("true{}", " ".repeat(length - 4));
    assert_eq!(of(&padded(LONGEST)), Ok(()));
    assert_eq!(of(&padded(LONGEST + 1)), Err(ExpressionError::TooLong));
    let too_large = Err(ExpressionError::TooLarge);
    let list = |count: usize| format!("1 in [{}]", vec!["1"; count].join(","));
    assert_eq!(of(&list(MOST_ELEMENTS)), Ok(()));
    assert_eq!(of(&list(MOST_ELEMENTS + 1)), too_large);
    let chain = |count: usize| vec!["key==''"; count].join("||");
    assert_eq!(of(&chain(60)), Ok(()));
    assert_eq!(of(&chain(70)), too_large);
    let sum = |count: usize| format!("1 == {}", vec!["1"; count].join("+"));
    assert_eq!(of(&sum(120)), Ok(()));
    assert_eq!(of(&sum(130)), too_large);
    let nested = |depth: usize| format!("{}true{}", "(".repeat(depth), ")".repeat(depth));
    assert_eq!(of(&nested(DEEPEST - 1)), Ok(()));
    for depth in [DEEPEST, 500] {
        assert_eq!(of(&nested(depth)), too_large);
    }
    for row in [
        "(",
        "!",
        "-",
        "-(",
        "key?key:",
        "[",
        "1 in[",
        "f(",
        "\"\".contains(",
        "a.",
        "{",
    ] {
        assert!(of(&row.repeat(LONGEST / row.len())).is_err(), "{row}");
    }
}

#[test]
fn what_cannot_be_computed_is_said_and_never_guessed() {
    let proposal = proposal("c:100[a]", "set c 150");
    let most = i64::MAX;
    let cases = [
        ("1 / 0 == 1".to_owned(), Doubt::DivisionByZero),
        ("1 % 0 == 1".to_owned(), Doubt::DivisionByZero),
        (format!("{most} + 1 > 0"), Doubt::Overflow),
        (format!("{most} * 2 > 0"), Doubt::Overflow),
        (format!("-{most} - 2 < 0"), Doubt::Overflow),
        (format!("-(-{most} - 1) > 0"), Doubt::Overflow),
        (format!("(-{most} - 1) / -1 > 0"), Doubt::Overflow),
        (format!("(-{most} - 1) % -1 == 0"), Doubt::Overflow),
        ("true && 1 / 0 == 1".to_owned(), Doubt::DivisionByZero),
        ("1 / 0 == 1 || false".to_owned(), Doubt::DivisionByZero),
        ("1 in [1, 1 / 0]".to_owned(), Doubt::DivisionByZero),
        ("-(-9223372036854775808) > 0".to_owned(), Doubt::Overflow),
    ];
    for (source, doubt) in cases {
        assert_eq!(holds(&source, &proposal), Err(doubt), "{source}");
    }
}

#[test]
fn an_amount_that_nobody_can_convert_is_no_number() {
    let proposal = proposal("c:100[a]", "set c 150");
    let known = Known {
        proposal: &proposal,
        worth: &|micros| (micros == 0).then_some(0),
    };
    let holds = |source| Expression::parse(source).unwrap().holds(&known);
    assert_eq!(holds("change.daily.increase > 0"), Err(Doubt::Unconverted));
    assert_eq!(holds("change.daily.decrease > 0"), Ok(false));
    assert_eq!(holds("change.percent > 0"), Ok(true));
}

#[test]
fn an_expression_is_its_text_on_the_wire_and_checked_when_read() {
    let read: Expression = serde_json::from_str("\"key == 'a'\"").unwrap();
    assert_eq!(serde_json::to_string(&read).unwrap(), "\"key == 'a'\"");
    assert_eq!(read, Expression::parse("key == 'a'").unwrap());
    let error = serde_json::from_str::<Expression>("\"keys == 'a'\"").unwrap_err();
    assert!(error.to_string().contains("`keys` is not known"), "{error}");
}

fn token() -> impl Strategy<Value = String> {
    let words = [
        "change",
        ".daily",
        ".increase",
        ".percent",
        ".tool",
        "key",
        "==",
        "!=",
        "<",
        ">=",
        "&&",
        "||",
        "!",
        "-",
        "+",
        "*",
        "/",
        "%",
        "in",
        "[",
        "]",
        "(",
        ")",
        "{",
        "}",
        "?",
        ":",
        ",",
        "1",
        "0",
        "9223372036854775807",
        "\"a\"",
        "'",
        "\"",
        "amount(\"1\")",
        "has(",
        ".all(x,",
        " ",
        "true",
        "null",
        "1.5",
        "5u",
        "\\",
        "\u{e9}",
        "\u{1f600}",
        "r'",
        "b'",
        "//",
        "\n",
    ];
    prop::sample::select(words.to_vec()).prop_map(str::to_owned)
}

proptest! {
    /// Whatever is written, reading and evaluating it ends, and never panics.
    #[test]
    fn no_text_panics(tokens in prop::collection::vec(token(), 0..40), text in ".{0,60}") {
        let change = proposal("c:100[a]", "set c 150");
        let known = Known { proposal: &change, worth: &|micros| Some(micros.into()) };
        for source in [tokens.concat(), tokens.join(" "), text] {
            if let Ok(expression) = Expression::parse(&source) {
                let first = expression.holds(&known);
                prop_assert_eq!(first, expression.holds(&known));
            }
        }
    }
}
