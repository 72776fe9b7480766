//! From characters to tokens.

use std::ops::Range;

use crate::number::Number;

/// A name as it is written: `gemm`, or `gemm'2` for the second thing called so.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Name {
    pub(super) base: String,
    pub(super) ordinal: Option<usize>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    Name(Name),
    /// A word with a meaning of its own, or a sign.
    Sign(&'static str),
    Number(Number),
    /// Quoted text, without the quotes.
    Text(String),
    /// Anything else, and what is wrong with it.
    Wrong(&'static str),
    End,
}

#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) span: Range<usize>,
}

/// Words that are no names.
const WORDS: [&str; 10] = ["and", "or", "not", "if", "true", "false", "in", "int", "real", "bool"];

/// Longest first.
const SIGNS: [&str; 22] = [
    "..", "<=", ">=", "==", "+", "-", "*", "/", "^", "(", ")", "{", "}", "[", "]", ",", ";", ":",
    "=", "<", ">", "?",
];

/// Where statements begin: at a line that is not indented deeper than the one before it began.
/// What is indented deeper, or begins with a closing bracket, continues it.
pub(super) fn statements(source: &str) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    let mut indent = 0;
    let mut start = 0;
    for line in source.split_inclusive('\n') {
        let text = line.trim_start();
        let here = line.len() - text.len();
        let end = start + line.len();
        let blank = text.is_empty() || text.starts_with('#');
        match found.last_mut() {
            Some(last) if blank || here > indent || text.starts_with([')', '}', ']']) => {
                last.end = end;
            }
            _ if blank => {}
            _ => {
                indent = here;
                found.push(start..end);
            }
        }
        start = end;
    }
    found
}

/// The tokens of one statement, with an [`Kind::End`].
pub(super) fn tokens(source: &str, statement: Range<usize>) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut at = statement.start;
    loop {
        at += blank(&source[at..statement.end]);
        let rest = &source[at..statement.end];
        let (kind, length) = token(rest);
        let last = kind == Kind::End;
        // The end stands after the last token, not after the comments behind it.
        let at_end = tokens.last().map_or(at, |token: &Token| token.span.end);
        let from = if last { at_end } else { at };
        tokens.push(Token { kind, span: from..from + length });
        if last {
            return tokens;
        }
        at += length;
    }
}

/// Bytes of blanks and comments.
fn blank(text: &str) -> usize {
    let mut rest = text.trim_start();
    while rest.starts_with('#') {
        rest = rest[rest.find('\n').unwrap_or(rest.len())..].trim_start();
    }
    text.len() - rest.len()
}

fn token(text: &str) -> (Kind, usize) {
    let Some(first) = text.chars().next() else { return (Kind::End, 0) };
    if first.is_ascii_digit() {
        return number(text);
    }
    if first == '"' {
        return match quoted(text, '"') {
            Some((content, length)) => (Kind::Text(content), length),
            None => (Kind::Wrong("text without a closing quote"), line(text)),
        };
    }
    if first == '`' || first == '_' || first.is_alphabetic() {
        return name(text);
    }
    match SIGNS.iter().find(|sign| text.starts_with(**sign)) {
        Some(sign) => (Kind::Sign(sign), sign.len()),
        None => (Kind::Wrong("a character without meaning"), first.len_utf8()),
    }
}

/// An integer, or a float: with a fraction or an exponent.
fn number(text: &str) -> (Kind, usize) {
    let digits = |from: usize| {
        let rest = &text[from..];
        rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len())
    };
    let whole = digits(0);
    let mut end = whole;
    if text[end..].starts_with('.') && digits(end + 1) > 0 {
        end += 1 + digits(end + 1);
    }
    if text[end..].starts_with(['e', 'E']) {
        let sign = usize::from(text[end + 1..].starts_with(['+', '-']));
        match digits(end + 1 + sign) {
            0 => {}
            exponent => end += 1 + sign + exponent,
        }
    }
    let parsed = if end == whole {
        text[..end].parse::<i128>().ok().map(|n| Number::ratio(n, 1))
    } else {
        text[..end].parse().ok().filter(|x: &f64| x.is_finite()).map(Number::float)
    };
    match parsed {
        Some(number) => (Kind::Number(number), end),
        None => (Kind::Wrong("a number that is too large"), end),
    }
}

/// A name or a word.
fn name(text: &str) -> (Kind, usize) {
    let (base, mut length) = if text.starts_with('`') {
        match quoted(text, '`') {
            Some(found) => found,
            None => return (Kind::Wrong("a name without a closing quote"), line(text)),
        }
    } else {
        let length = text.find(|c| !in_name(c)).unwrap_or(text.len());
        // `1..n` and `a..b` are ranges.
        let length = text[..length].find("..").unwrap_or(length);
        if let Some(word) = WORDS.iter().find(|word| **word == &text[..length]) {
            return (Kind::Sign(word), length);
        }
        (text[..length].to_owned(), length)
    };
    let mut ordinal = None;
    if let Some(rest) = text[length..].strip_prefix('\'') {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        ordinal = rest[..digits].parse().ok().filter(|n| (1..=1_000_000).contains(n));
        if ordinal.is_none() {
            return (Kind::Wrong("a name whose `'` is not followed by a number"), length + 1);
        }
        length += 1 + digits;
    }
    (Kind::Name(Name { base, ordinal }), length)
}

fn in_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '.'
}

/// What is between two quotes, and how long it is with them. `\` makes the next character literal;
/// `\n` is the end of a line.
fn quoted(text: &str, quote: char) -> Option<(String, usize)> {
    let mut content = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => match chars.next()?.1 {
                'n' => content.push('\n'),
                other => content.push(other),
            },
            _ if c == quote => return Some((content, at + c.len_utf8())),
            _ => content.push(c),
        }
    }
    None
}

fn line(text: &str) -> usize {
    text.find('\n').unwrap_or(text.len()).max(1)
}

/// A text as [`quoted`] reads it.
pub(super) fn quote(text: &str, quote: char) -> String {
    let mut quoted = String::from(quote);
    for c in text.chars() {
        match c {
            '\n' => quoted.push_str("\\n"),
            '\\' => quoted.push_str("\\\\"),
            _ if c == quote => quoted.extend(['\\', c]),
            _ => quoted.push(c),
        }
    }
    quoted.push(quote);
    quoted
}

/// A name as [`tokens`] reads it: between backquotes unless it is a plain one.
pub(super) fn written(name: &str) -> String {
    let starts = name.starts_with(|c: char| c == '_' || c.is_alphabetic());
    let plain = starts && name.chars().all(in_name) && !name.contains("..") && !name.ends_with('.');
    if plain && !WORDS.contains(&name) { name.to_owned() } else { quote(name, '`') }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&written(&self.base))?;
        self.ordinal.map_or(Ok(()), |ordinal| write!(f, "'{ordinal}"))
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Kind::Name(name) => write!(f, "`{name}`"),
            Kind::Sign(sign) => write!(f, "`{sign}`"),
            Kind::Number(n) => write!(f, "{n}"),
            Kind::Text(text) => f.write_str(&quote(text, '"')),
            Kind::Wrong(problem) => f.write_str(problem),
            Kind::End => f.write_str("the end of the statement"),
        }
    }
}
