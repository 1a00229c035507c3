"""One file for each framework or library that wants a word with Holdfast; nothing else imports that library."""
