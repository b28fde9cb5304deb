//! The server: owns one of each room and spells out the loop turn.
