"""The contract between wrapper and bridge, in pure code that every launch imports: no dataclass, no I/O."""
