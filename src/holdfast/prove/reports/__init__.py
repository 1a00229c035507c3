"""What a proof is told as: on the terminal, as JSON, JUnit and annotations, as a page, and beside an earlier one."""
