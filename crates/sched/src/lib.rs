//! One worker's batch policy: SGLang's scheduler, queue orders, budgets.
