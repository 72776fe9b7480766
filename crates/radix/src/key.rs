//! A view of the part of a sequence that is looked up or kept, and a cursor over its tokens.

use std::hash::{Hash, Hasher};

use rustc_hash::FxHasher;

use crate::element::Span;
use crate::{Element, PageSize, Sequence};

/// The tokens that a cache is asked about: a prompt, optionally followed by what was generated,
/// cut after some number of tokens, in a namespace.
///
/// A view: cheap to copy, and it allocates nothing.
///
/// ```
/// use sglsim_radix::{Key, Prompt, Span};
/// let prompt = Prompt::new(vec![Span::new(1, 100)]);
/// let answer = [Span::new(2, 20)];
/// assert_eq!(Key::new(&prompt).with_tail(&answer).tokens(), 120);
/// assert_eq!(Key::new(&prompt).first(99).tokens(), 99);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Key<'a, E: Element = Span> {
    head: &'a [E],
    tail: &'a [E],
    tokens: u64,
    namespace: u32,
    priority: i64,
}

impl<'a, E: Element> Key<'a, E> {
    /// All of `sequence`, in namespace 0.
    #[must_use]
    pub fn new(sequence: &'a Sequence<E>) -> Self {
        Self {
            head: sequence.elements(),
            tail: &[],
            tokens: sequence.tokens(),
            namespace: 0,
            priority: 0,
        }
    }

    /// All of `elements`, in namespace 0.
    #[must_use]
    pub fn of(elements: &'a [E]) -> Self {
        Self { head: elements, tail: &[], tokens: count(elements), namespace: 0, priority: 0 }
    }

    /// The whole sequence followed by `tail`, which replaces an earlier tail and an earlier cut.
    #[must_use]
    pub fn with_tail(self, tail: &'a [E]) -> Self {
        Self { tail, tokens: count(self.head) + count(tail), ..self }
    }

    /// At most the first `tokens` tokens.
    #[must_use]
    pub fn first(self, tokens: u64) -> Self {
        Self { tokens: self.tokens.min(tokens), ..self }
    }

    /// The same tokens in `namespace` (SGLang's `extra_key`: LoRA adapter, cache salt). Entries of
    /// different namespaces never match each other.
    #[must_use]
    pub fn in_namespace(self, namespace: u32) -> Self {
        Self { namespace, ..self }
    }

    /// Priority of the entries that an insert of this key keeps, 0 if never said. An entry takes
    /// the highest it was ever given; only [`EvictionPolicy::Priority`](crate::EvictionPolicy)
    /// looks at it. A lookup ignores it.
    ///
    /// SGLang ranks a prompt one above the answer that follows it: insert the whole key, then its
    /// [`first`](Key::first) part again with the priority plus 1.
    #[must_use]
    pub fn with_priority(self, priority: i64) -> Self {
        Self { priority, ..self }
    }

    /// Number of tokens \[token\].
    #[must_use]
    pub fn tokens(&self) -> u64 {
        self.tokens
    }

    /// The namespace.
    #[must_use]
    pub fn namespace(&self) -> u32 {
        self.namespace
    }

    /// The priority.
    #[must_use]
    pub fn priority(&self) -> i64 {
        self.priority
    }

    /// The key without its last, partial page.
    #[must_use]
    pub fn whole_pages(self, page_size: PageSize) -> Self {
        Self { tokens: page_size.floor(self.tokens), ..self }
    }

    /// A cursor at the first token.
    #[must_use]
    pub fn cursor(&self) -> Cursor<'a, E> {
        Cursor::new(self.head, self.tail, self.tokens)
    }
}

fn count<E: Element>(elements: &[E]) -> u64 {
    elements.iter().map(|element| u64::from(element.tokens())).sum()
}

/// A position in a key: what caches and routers walk along their trees with.
#[derive(Clone, Copy, Debug)]
pub struct Cursor<'a, E: Element> {
    /// What is left of the element at the position; `None` at the end.
    current: Option<E>,
    head: &'a [E],
    tail: &'a [E],
    /// Tokens left, those of `current` included.
    left: u64,
}

impl<'a, E: Element> Cursor<'a, E> {
    fn new(head: &'a [E], tail: &'a [E], tokens: u64) -> Self {
        let mut cursor = Self { current: None, head, tail, left: tokens };
        cursor.load();
        cursor
    }

    /// A cursor at the first token of `elements`.
    #[must_use]
    pub fn over(elements: &'a [E]) -> Self {
        Self::new(elements, &[], count(elements))
    }

    /// Tokens left \[token\].
    #[must_use]
    pub fn left(&self) -> u64 {
        self.left
    }

    /// The rest of the element at the position, if any token is left.
    #[must_use]
    pub fn peek(&self) -> Option<E> {
        self.current
    }

    /// Takes at most `most` tokens of the element at the position.
    pub fn take(&mut self, most: u64) -> Option<E> {
        let element = self.current?;
        let tokens = element.tokens();
        match u32::try_from(most) {
            Ok(most) if most < tokens => {
                let (front, rest) = element.split(most);
                self.left -= u64::from(most);
                self.current = Some(rest);
                (most > 0).then_some(front)
            }
            _ => {
                self.left -= u64::from(tokens);
                self.load();
                Some(element)
            }
        }
    }

    /// Goes `tokens` forward, at most to the end.
    pub fn skip(&mut self, mut tokens: u64) {
        while tokens > 0 {
            match self.take(tokens) {
                Some(element) => tokens -= u64::from(element.tokens()),
                None => return,
            }
        }
    }

    /// Goes forward along with `other` as long as their tokens are equal, and says how far \[token\].
    pub fn common_prefix(&mut self, other: &mut Self) -> u64 {
        let mut total = 0;
        while let (Some(ours), Some(theirs)) = (self.current, other.current) {
            let common = u64::from(ours.common_prefix(&theirs));
            if common == 0 {
                break;
            }
            self.take(common);
            other.take(common);
            total += common;
            if common < u64::from(ours.tokens().min(theirs.tokens())) {
                break;
            }
        }
        total
    }

    /// Takes `tokens` tokens as a list without two elements that could be one.
    pub fn for_each_run(&mut self, mut tokens: u64, mut visit: impl FnMut(E)) {
        let mut run: Option<E> = None;
        while tokens > 0
            && let Some(next) = self.take(tokens)
        {
            tokens -= u64::from(next.tokens());
            run = Some(match run {
                None => next,
                Some(run) => run.join(next).unwrap_or_else(|| {
                    visit(run);
                    next
                }),
            });
        }
        if let Some(run) = run {
            visit(run);
        }
    }

    /// Hash of the next `tokens` tokens together with `seed`, wherever elements are cut.
    ///
    /// The same in every process. Equal tokens have equal hashes, so it finds candidates; it does
    /// not prove equality.
    #[must_use]
    pub fn hash_of_next(mut self, tokens: u64, seed: u64) -> u64 {
        let mut hasher = FxHasher::default();
        seed.hash(&mut hasher);
        self.for_each_run(tokens, |run| run.hash(&mut hasher));
        hasher.finish()
    }

    /// Puts the next element that has tokens at the position, cut to what is left.
    fn load(&mut self) {
        self.current = None;
        while self.left > 0 {
            let list = if self.head.is_empty() { &mut self.tail } else { &mut self.head };
            let Some((first, rest)) = list.split_first() else { break };
            *list = rest;
            let tokens = first.tokens();
            if tokens == 0 {
                continue;
            }
            let fits = u32::try_from(self.left).is_ok_and(|left| left < tokens);
            self.current = Some(if fits {
                #[expect(clippy::cast_possible_truncation, reason = "just compared")]
                first.split(self.left as u32).0
            } else {
                *first
            });
            break;
        }
    }
}
