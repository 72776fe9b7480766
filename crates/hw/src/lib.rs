//! GPUs, links, nodes and topologies, with presets.
