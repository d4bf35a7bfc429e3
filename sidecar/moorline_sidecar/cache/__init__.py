"""The L1: sessions in the memory of this process."""
