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
    /// Starts with the element at the position, which has tokens, unless none are left.
    head: &'a [E],
    tail: &'a [E],
    /// Tokens of that element that lie behind.
    offset: u32,
    /// Tokens that lie ahead.
    left: u64,
}

impl<'a, E: Element> Cursor<'a, E> {
    fn new(head: &'a [E], tail: &'a [E], tokens: u64) -> Self {
        let mut cursor = Self { head, tail, offset: 0, left: tokens };
        cursor.settle();
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
        if self.left == 0 {
            return None;
        }
        let first = *self.head.first()?;
        let rest = if self.offset > 0 { first.split(self.offset).1 } else { first };
        match u32::try_from(self.left) {
            Ok(left) if left < rest.tokens() => Some(rest.split(left).0),
            _ => Some(rest),
        }
    }

    /// Takes at most `most` tokens of the element at the position.
    pub fn take(&mut self, most: u64) -> Option<E> {
        let element = self.peek()?;
        match u32::try_from(most) {
            Ok(most) if most < element.tokens() => {
                self.advance(most);
                (most > 0).then(|| element.split(most).0)
            }
            _ => {
                self.advance(element.tokens());
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
    pub fn common_prefix(&mut self, other: &mut Cursor<'_, E>) -> u64 {
        let mut total = 0;
        loop {
            if self.offset == 0 && other.offset == 0 {
                total += self.skip_equal(other);
            }
            let (Some(ours), Some(theirs)) = (self.peek(), other.peek()) else { return total };
            let common = ours.common_prefix(&theirs);
            self.advance(common);
            other.advance(common);
            total += u64::from(common);
            if common < ours.tokens().min(theirs.tokens()) {
                return total;
            }
        }
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

    /// Skips whole elements that are equal, which most are.
    fn skip_equal(&mut self, other: &mut Cursor<'_, E>) -> u64 {
        let limit = self.left.min(other.left);
        let (mut elements, mut tokens) = (0, 0);
        for (ours, theirs) in self.head.iter().zip(other.head) {
            let next = tokens + u64::from(ours.tokens());
            if ours != theirs || next > limit {
                break;
            }
            tokens = next;
            elements += 1;
        }
        self.skip_elements(elements, tokens);
        other.skip_elements(elements, tokens);
        tokens
    }

    fn skip_elements(&mut self, elements: usize, tokens: u64) {
        self.head = &self.head[elements..];
        self.left -= tokens;
        self.settle();
    }

    /// Goes `tokens` forward inside the element at the position.
    fn advance(&mut self, tokens: u32) {
        self.offset += tokens;
        self.left -= u64::from(tokens);
        if self.head.first().is_some_and(|first| first.tokens() == self.offset) {
            self.head = &self.head[1..];
            self.offset = 0;
            self.settle();
        }
    }

    /// Makes `head` start with an element that has tokens.
    fn settle(&mut self) {
        loop {
            match self.head.first() {
                Some(first) if first.tokens() > 0 => return,
                Some(_) => self.head = &self.head[1..],
                None if self.tail.is_empty() => return,
                None => self.head = std::mem::take(&mut self.tail),
            }
        }
    }
}
