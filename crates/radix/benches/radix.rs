//! Benchmarks of `sglsim-radix`: prompts of 20 spans, of which many share their first ones.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use sglsim_radix::{
    BlockLru, EvictionPolicy, Key, PageSize, PrefixCache, Prompt, RadixCache, Span,
};

const PROMPTS: u64 = 4096;

/// A prompt of 20 spans of 512 tokens: 1 of 1, 3 of 16 and 6 of 256 are shared, the rest its own.
fn prompt(id: u64) -> Prompt {
    let content = |level: u64, of: u64| level << 32 | (id % of);
    (0..20)
        .map(|level| {
            Span::new(
                content(level, [1, 16, 256, u64::MAX][level.div_ceil(3).min(3) as usize]),
                512,
            )
        })
        .collect()
}

fn filled(mut cache: impl PrefixCache + Clone) -> impl PrefixCache + Clone {
    (0..PROMPTS).for_each(|id| {
        cache.insert(Key::new(&prompt(id)), 0);
    });
    cache
}

fn bench_cache(c: &mut Criterion, empty: impl PrefixCache + Clone) {
    let name = format!("{}-page{}", empty.name(), empty.page_size());
    let prompts: Vec<Prompt> = (0..PROMPTS).map(prompt).collect();
    let cache = filled(empty);

    let mut group = c.benchmark_group("radix");
    group.throughput(Throughput::Elements(1));
    group.bench_function(format!("match/{name}"), |b| {
        let mut cache = cache.clone();
        let mut next = prompts.iter().cycle();
        b.iter(|| {
            let prompt = next.next().expect("it never ends");
            cache.match_prefix(black_box(Key::new(prompt)))
        });
    });
    group.bench_function(format!("lock_unlock/{name}"), |b| {
        let mut cache = cache.clone();
        let node = cache.match_prefix(Key::new(&prompts[7])).node;
        b.iter(|| {
            cache.lock(black_box(node));
            cache.unlock(black_box(node));
        });
    });
    // A full cache: each new prompt pushes an old one out.
    group.bench_function(format!("insert_evict/{name}"), |b| {
        let mut cache = cache.clone();
        let limit = cache.evictable_tokens();
        let fresh: Vec<Prompt> = (PROMPTS..8 * PROMPTS).map(prompt).collect();
        let mut next = fresh.iter().cycle();
        b.iter(|| {
            let done = cache.insert(Key::new(next.next().expect("it never ends")), 0);
            cache.evict(cache.evictable_tokens().saturating_sub(limit));
            done
        });
    });
    group.throughput(Throughput::Elements(PROMPTS));
    group.bench_function(format!("evict_all/{name}"), |b| {
        let evict = |cache: &mut _| PrefixCache::<Span>::evict(cache, u64::MAX);
        b.iter_batched_ref(|| cache.clone(), evict, BatchSize::LargeInput);
    });
    group.finish();
}

fn benches(c: &mut Criterion) {
    for page_size in [1, 64].map(|size| PageSize::new(size).expect("in range")) {
        bench_cache(c, RadixCache::new(page_size, EvictionPolicy::Lru));
    }
    bench_cache(c, BlockLru::new(PageSize::new(512).expect("in range")));
}

criterion_group!(all, benches);
criterion_main!(all);
