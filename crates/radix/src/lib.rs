//! Token spans, radix prefix cache, page pool and eviction.
