"""Operations on objects: whole ones, and what is common to all."""
