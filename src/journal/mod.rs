//! The one stream of effects.

