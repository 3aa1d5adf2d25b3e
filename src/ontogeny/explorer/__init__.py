"""The local web app over a folder of runs, live while they train; the same views written out as files."""
