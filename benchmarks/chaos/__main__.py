from chaos.parts import main

main()
