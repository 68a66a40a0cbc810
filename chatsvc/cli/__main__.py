from chatsvc.cli.main import main

main(prog_name="chatsvc")
