//! The shop as text tables: a script of what happens, and in the last column what comes of its last step.

mod table;
mod world;
