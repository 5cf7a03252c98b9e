"""What `make bench` runs on which system, how it runs it, and what others bring from machines of their own."""
