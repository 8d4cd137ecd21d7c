"""The fast way: small objects are got and put in two callbacks, without a task. It only ever says yes (ADR 0027)."""
